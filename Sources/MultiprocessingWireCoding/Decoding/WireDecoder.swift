// SPDX-License-Identifier: Apache-2.0

/// The decoder that a value's `init(from:)` gets, and its own single-value container. Small enough to need no memory of its own.
struct WireDecoder: Decoder {
    /// What is under way.
    let state: DecodingState
    /// Where the value begins.
    let start: Int
    /// Where it ends. Where it begins, for a value that was never written: it reads as null.
    let end: Int

    var codingPath: [any CodingKey] { state.path(to: start) }
    var userInfo: [CodingUserInfoKey: Any] { state.userInfo }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try read { reader in
            KeyedDecodingContainer(try KeyedReader<Key>(state, from: &reader, level: state.frames.count))
        }
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try read { try UnkeyedReader(state, from: &$0) }
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    /// Calls `body` with a reader of the value.
    @inline(__always)
    private func read<Result>(_ body: (inout WireReader) throws -> Result) throws -> Result {
        var reader = try state.reader(from: start, to: end)
        do {
            return try body(&reader)
        } catch {
            throw state.described(error)
        }
    }
}

// MARK: - Single values

extension WireDecoder: SingleValueDecodingContainer {
    /// Reads a value that the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>() throws -> Value {
        try read { try Value.read(from: &$0) }
    }

    func decodeNil() -> Bool {
        guard let reader = try? state.reader(from: start, to: end) else { return false }
        return (try? reader.isNull()) ?? false
    }

    func decode(_ type: Bool.Type) throws -> Bool { try leaf() }
    func decode(_ type: String.Type) throws -> String { try leaf() }
    func decode(_ type: Double.Type) throws -> Double { try leaf() }
    func decode(_ type: Float.Type) throws -> Float { try leaf() }
    func decode(_ type: Int.Type) throws -> Int { try leaf() }
    func decode(_ type: Int8.Type) throws -> Int8 { try leaf() }
    func decode(_ type: Int16.Type) throws -> Int16 { try leaf() }
    func decode(_ type: Int32.Type) throws -> Int32 { try leaf() }
    func decode(_ type: Int64.Type) throws -> Int64 { try leaf() }
    func decode(_ type: Int128.Type) throws -> Int128 { try leaf() }
    func decode(_ type: UInt.Type) throws -> UInt { try leaf() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try leaf() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try leaf() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try leaf() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try leaf() }
    func decode(_ type: UInt128.Type) throws -> UInt128 { try leaf() }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try read { try state.decode(type, from: &$0) } }
}
