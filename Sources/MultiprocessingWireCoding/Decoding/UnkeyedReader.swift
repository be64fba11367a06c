// SPDX-License-Identifier: Apache-2.0

/// An unkeyed container being read.
struct UnkeyedReader: UnkeyedDecodingContainer {
    /// What is under way.
    private(set) var state: DecodingState
    /// Where the elements are.
    private var elements: WireElements
    private(set) var currentIndex = 0

    /// Creates the container where `reader` stands, and moves the reader behind it.
    init(_ state: DecodingState, from reader: inout WireReader) throws {
        self.state = state
        elements = try WireElements(from: &reader)
    }

    var codingPath: [any CodingKey] { state.path(to: elements.start) }
    var count: Int? { elements.count }
    var isAtEnd: Bool { elements.isAtEnd(currentIndex) }

    // MARK: - Elements

    /// Calls `body` with a reader of the next element, and moves on when it succeeds.
    @inline(__always)
    private mutating func read<Result>(
        _ type: any Any.Type,
        _ body: (DecodingState, inout WireReader) throws -> Result
    ) throws -> Result {
        try expand()
        var reader = try next(type)
        let state = state
        let result = try state.within(.element(currentIndex), of: elements.start, &reader) { try body(state, &$0) }
        elements.next = reader.offset
        currentIndex += 1
        return result
    }

    /// Returns a reader of the next element; throws at the end of the list.
    @inline(__always)
    private func next(_ type: any Any.Type) throws -> WireReader {
        guard !isAtEnd else { throw atEnd(type) }
        return try state.reader(from: elements.next, to: elements.end)
    }

    /// Makes the error of a list that has no more elements.
    @inline(never)
    private func atEnd(_ type: any Any.Type) -> any Error {
        let context = DecodingError.Context(
            codingPath: codingPath + [WireKey(intValue: currentIndex)],
            debugDescription: "the unkeyed container has no more elements"
        )
        return DecodingError.valueNotFound(type, context)
    }

    /// Reads an element that the format knows.
    @inline(__always)
    private mutating func leaf<Value: WireLeaf>() throws -> Value {
        if let packed = elements.packed { return try packedElement(packed) }
        var reader = try next(Value.self)
        guard let value = try? Value.read(from: &reader) else {
            // Only now is it worth while to say where.
            return try read(Value.self) { _, reader in try Value.read(from: &reader) }
        }
        elements.next = reader.offset
        currentIndex += 1
        return value
    }

    /// Reads an element of a packed list.
    @inline(__always)
    private mutating func packedElement<Value: WireLeaf>(_ packed: PackedHead) throws -> Value {
        guard !isAtEnd else { throw atEnd(Value.self) }
        // The elements are read in place, so the message must still be there.
        _ = try state.reader(from: elements.start, to: elements.end)
        let offset = currentIndex * packed.elementSize
        guard let base = packed.bytes.baseAddress, let value = Value.readElement(base + offset, packed.kind) else {
            let context = DecodingError.Context(
                codingPath: codingPath + [WireKey(intValue: currentIndex)],
                debugDescription: "the element of a list of numbers is no \(Value.self)"
            )
            throw DecodingError.typeMismatch(Value.self, context)
        }
        currentIndex += 1
        return value
    }

    /// Makes a packed list one of single values, for who reads its elements as something else than numbers.
    private mutating func expand() throws {
        guard let packed = elements.packed else { return }
        _ = try state.reader(from: elements.start, to: elements.end)
        let owner = OwnedMessage(packed)
        state = DecodingState(owner: owner, in: state, path: codingPath)
        var reader = state.message
        elements = try WireElements(from: &reader)
        for _ in 0..<currentIndex {
            var reader = WireReader(state.message, from: elements.next, to: elements.end)
            try reader.skipValue()
            elements.next = reader.offset
        }
    }

    mutating func decodeNil() throws -> Bool {
        guard elements.packed == nil else {
            guard !isAtEnd else { throw atEnd(Never?.self) }
            return false
        }
        var reader = try next(Never?.self)
        guard try reader.isNull() else { return false }
        try reader.skipValue()
        elements.next = reader.offset
        currentIndex += 1
        return true
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try read(type) { state, reader in try state.decode(type, from: &reader) }
    }

    // MARK: - Nested containers

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try read(KeyedDecodingContainer<NestedKey>.self) { state, reader in
            KeyedDecodingContainer(try KeyedReader<NestedKey>(state, from: &reader, level: state.frames.count))
        }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try read((any UnkeyedDecodingContainer).self) { state, reader in try UnkeyedReader(state, from: &reader) }
    }

    mutating func superDecoder() throws -> any Decoder {
        try read((any Decoder).self) { state, reader in
            let start = reader.offset
            try reader.skipValue()
            return WireDecoder(state: state, start: start, end: reader.offset)
        }
    }
}

// MARK: - Values that the format knows

extension UnkeyedReader {
    mutating func decode(_ type: Bool.Type) throws -> Bool { try leaf() }
    mutating func decode(_ type: String.Type) throws -> String { try leaf() }
    mutating func decode(_ type: Double.Type) throws -> Double { try leaf() }
    mutating func decode(_ type: Float.Type) throws -> Float { try leaf() }
    mutating func decode(_ type: Int.Type) throws -> Int { try leaf() }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try leaf() }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try leaf() }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try leaf() }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try leaf() }
    mutating func decode(_ type: Int128.Type) throws -> Int128 { try leaf() }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try leaf() }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try leaf() }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try leaf() }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try leaf() }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try leaf() }
    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try leaf() }
}
