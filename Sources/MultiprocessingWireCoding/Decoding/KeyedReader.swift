// SPDX-License-Identifier: Apache-2.0

/// A keyed container being read.
struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    /// What is under way.
    let state: DecodingState
    /// Where the entries are.
    let entries: WireEntries

    /// Creates the container where `reader` stands, and moves the reader behind it.
    init(_ state: DecodingState, from reader: inout WireReader, level: Int) throws {
        self.state = state
        entries = try WireEntries(state, from: &reader, level: level)
    }

    var codingPath: [any CodingKey] { state.path(to: entries.start) }

    var allKeys: [Key] {
        entries.names(in: state).compactMap { Key(stringValue: $0) }
    }

    func contains(_ key: Key) -> Bool {
        ((try? entries.find(key.stringValue, in: state)) ?? nil) != nil
    }

    // MARK: - Entries

    /// Finds the value of a key; throws when there is none.
    @inline(__always)
    private func value(for key: Key) throws -> WireEntry {
        guard let entry = try entries.find(key.stringValue, in: state) else { throw notFound(key) }
        return entry
    }

    /// Makes the error of a key that is not there.
    @inline(never)
    private func notFound(_ key: Key) -> any Error {
        let context = DecodingError.Context(
            codingPath: codingPath,
            debugDescription: "there is no value for the key \"\(key.stringValue)\""
        )
        return DecodingError.keyNotFound(key, context)
    }

    /// Calls `body` with a reader of the entry's value; the next field is expected behind it.
    @inline(__always)
    private func read<Result>(_ entry: WireEntry, _ body: (inout WireReader) throws -> Result) throws -> Result {
        var reader = entry.value
        let result = try state.within(.entry(entry.start), of: entries.start, &reader, body)
        entries.expect(reader.offset, in: state)
        return result
    }

    /// Reads a value that the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>(_ key: Key) throws -> Value {
        try leaf(try value(for: key))
    }

    /// Reads a value that the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>(_ entry: WireEntry) throws -> Value {
        var reader = entry.value
        do {
            let result = try Value.read(from: &reader)
            entries.expect(reader.offset, in: state)
            return result
        } catch {
            // Only now is it worth while to say where.
            return try read(entry) { try Value.read(from: &$0) }
        }
    }

    /// Finds the value of a key; returns nil when there is none, or null: for who reads optionals, null that is not held by an optional.
    @inline(__always)
    private func valueIfPresent(_ key: Key, readsOptionals: Bool = false) throws -> WireEntry? {
        guard let entry = try entries.find(key.stringValue, in: state) else { return nil }
        guard try readsOptionals ? entry.value.isNull() : entry.value.isNullInside() else { return entry }
        try entries.skip(entry, in: state)
        return nil
    }

    // MARK: - Values of any type

    func decodeNil(forKey key: Key) throws -> Bool {
        try value(for: key).value.isNull()
    }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try read(try value(for: key)) { try state.decode(type, from: &$0) }
    }

    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        // Written as an optional of an optional, so that one that is there and nil can be told from one that is not there.
        let isOptional = PlanTable.plan(for: T.self)?.isOptional ?? false
        guard let entry = try valueIfPresent(key, readsOptionals: isOptional) else { return nil }
        if isOptional { return try read(entry) { try state.decode(T?.self, from: &$0) } }
        return try read(entry) { try state.decode(type, from: &$0) }
    }

    // MARK: - Nested containers

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try read(try value(for: key)) { reader in
            KeyedDecodingContainer(try KeyedReader<NestedKey>(state, from: &reader, level: entries.level + 1))
        }
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try read(try value(for: key)) { try UnkeyedReader(state, from: &$0) }
    }

    func superDecoder() throws -> any Decoder {
        try superDecoder(named: WireKey.superKey.stringValue)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        try superDecoder(named: key.stringValue)
    }

    /// Returns a decoder of the value with the given key; one of null when there is none, as other coders do.
    private func superDecoder(named name: String) throws -> WireDecoder {
        guard let entry = try entries.find(name, in: state) else {
            return WireDecoder(state: state, start: entries.body, end: entries.body)
        }
        try entries.skip(entry, in: state)
        return WireDecoder(state: state, start: entry.value.offset, end: try entry.end)
    }
}

// MARK: - Values that the format knows

extension KeyedReader {
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try leaf(key) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try leaf(key) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try leaf(key) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try leaf(key) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try leaf(key) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try leaf(key) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try leaf(key) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try leaf(key) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try leaf(key) }
    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try leaf(key) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try leaf(key) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try leaf(key) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try leaf(key) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try leaf(key) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try leaf(key) }
    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 { try leaf(key) }

    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: Int128.Type, forKey key: Key) throws -> Int128? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try leafIfPresent(key) }
    func decodeIfPresent(_ type: UInt128.Type, forKey key: Key) throws -> UInt128? { try leafIfPresent(key) }

    /// Reads a value that the format knows, if there is one.
    @inline(__always)
    private func leafIfPresent<Value: WireLeaf>(_ key: Key) throws -> Value? {
        guard let entry = try valueIfPresent(key) else { return nil }
        return try leaf(entry) as Value
    }
}
