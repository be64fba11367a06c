// SPDX-License-Identifier: Apache-2.0

/// A standard type that the format knows: numbers, Booleans, strings.
///
/// The requirements on arrays are witnessed by each type on its own, so that their loops are compiled for that type and not for any.
protocol WireLeaf: Codable, WirePlanned {
    /// Writes the value with its tag.
    func write(into writer: inout WireWriter)
    /// Reads a value that is like this type.
    static func read(from reader: inout WireReader) throws -> Self

    /// Writes an array of values.
    static func writeArray(_ elements: UnsafeBufferPointer<Self>, into writer: inout WireWriter)
    /// Reads an array of values.
    static func readArray(from reader: inout WireReader) throws -> [Self]

    /// Writes a dictionary of values.
    static func writeDictionary(_ dictionary: [String: Self], into writer: inout WireWriter)
    /// Reads a dictionary of values.
    static func readDictionary(from reader: inout WireReader) throws -> [String: Self]

    /// The most bytes that the value takes with its tag.
    var bound: Int { get }
    /// The most bytes that an array of so many values takes; nil where that depends on the values.
    static func arrayBound(_ count: Int) -> Int?

    /// Reads the element that begins at `bytes` in a packed list of `kind`.
    static func readElement(_ bytes: UnsafeRawPointer, _ kind: PackedKind) -> Self?
}

extension WireLeaf {
    static func makePlan() -> AnyPlan? { LeafPlan<Self>() }

    /// Writes the elements one by one.
    @inline(__always)
    static func writeArray(_ elements: UnsafeBufferPointer<Self>, into writer: inout WireWriter) {
        let start = writer.beginContainer(WireTag.list)
        for element in elements { element.write(into: &writer) }
        writer.fillContainer(WireTag.list, at: start, to: writer.count, elements: elements.count)
    }

    /// Reads the elements one by one.
    @inline(__always)
    static func readArray(from reader: inout WireReader) throws -> [Self] {
        try readListOrPacked(from: &reader)
    }

    /// Reads the elements of a list, or those of a packed list of another kind.
    static func readListOrPacked(from reader: inout WireReader) throws -> [Self] {
        var inner = try reader.unwrapped()
        var result: [Self] = []

        switch try inner.peekTag() {
        case WireTag.list:
            var body = try inner.readContainer()
            result.reserveCapacity(
                ReservedCapacity.limit(try body.readElementCount(), of: Self.self, bytes: body.remaining)
            )
            while !body.isAtEnd { result.append(try read(from: &body)) }
        case WireTag.packed:
            let start = inner.offset
            let head = try inner.readPacked()
            result.reserveCapacity(ReservedCapacity.limit(head.count, of: Self.self, bytes: head.bytes.count))
            for offset in stride(from: 0, to: head.bytes.count, by: head.elementSize) {
                guard let base = head.bytes.baseAddress, let element = readElement(base + offset, head.kind) else {
                    throw WireMismatch(expected: Self.self, offset: start, kind: .doesNotFit)
                }
                result.append(element)
            }
        case WireTag.empty:
            inner.offset &+= 1
        default:
            throw reader.mismatch([Self].self, at: reader.offset)
        }

        try reader.finish(inner)
        return result
    }

    static func readElement(_ bytes: UnsafeRawPointer, _ kind: PackedKind) -> Self? { nil }

    static func arrayBound(_ count: Int) -> Int? { nil }
}

/// How much memory an array reserves before its elements are read.
enum ReservedCapacity {
    /// Returns a number of elements to reserve: at most `count`, which the message claims, and at most as many as fit into a few times the bytes
    /// that are there.
    @inline(__always)
    static func limit<Element>(_ count: Int, of type: Element.Type, bytes: Int) -> Int {
        min(count, max(16, bytes &* 4 / max(MemoryLayout<Element>.stride, 1)))
    }
}

/// The plan for a type that the format knows.
final class LeafPlan<Value: WireLeaf>: WirePlan<Value> {
    /// Creates the plan.
    init() { super.init(isLeaf: true) }

    override var isFlat: Bool { true }

    override func bound(_ value: Value) -> Int { value.bound }

    override func encode(_ value: Value, into writer: inout WireWriter) {
        value.write(into: &writer)
    }

    override func decode(from reader: inout WireReader) throws -> Value {
        try Value.read(from: &reader)
    }
}

/// The plan for an array of a type that the format knows.
final class LeafArrayPlan<Element: WireLeaf>: WirePlan<[Element]> {
    private let ownBulk: BulkArrays?

    /// Creates the plan.
    init() {
        ownBulk = (Element.self as? any WireNumber.Type).map {
            BulkArrays($0.packedKind, stride: MemoryLayout<Element>.stride)
        }
        super.init(isLeaf: true)
    }

    override var bulk: BulkArrays? { ownBulk }

    override var isFlat: Bool { Element.arrayBound(0) != nil }

    override func bound(_ value: [Element]) -> Int { Element.arrayBound(value.count) ?? super.bound(value) }

    override func encode(_ value: [Element], into writer: inout WireWriter) {
        value.withUnsafeBufferPointer { Element.writeArray($0, into: &writer) }
    }

    override func decode(from reader: inout WireReader) throws -> [Element] {
        try Element.readArray(from: &reader)
    }
}
