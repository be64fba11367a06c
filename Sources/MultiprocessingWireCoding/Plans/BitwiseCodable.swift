// SPDX-License-Identifier: Apache-2.0

/// A type whose values, and whole arrays of them, travel between processes as they lie in memory, without a visit to any field.
///
/// ```swift
/// struct Particle: BitwiseCodable {
///     var position: SIMD3<Float>
///     var mass: Double
/// }
/// ```
///
/// Adopt it for types made of integers, floating-point numbers and SIMD vectors, or of other such types. Three promises come with it, which the compiler cannot check:
///
/// - every pattern of bits is a value, so no `Bool`, enum, optional or `Unicode.Scalar` may be a field;
/// - the bits mean the same in every process, so no pointer, descriptor or index into something of this process may be a field;
/// - two processes of the same build are the only ones that see the bytes.
///
/// The type's own `Codable` is used by every other coder.
public protocol BitwiseCodable: BitwiseCopyable, Codable, WireSpecialized {}

extension BitwiseCodable {
    /// Makes the plan for this type.
    static func makeBitwisePlan() -> AnyPlan { BitwisePlan<Self>() }
}

/// The plan for one value that is carried as it lies in memory.
final class BitwisePlan<Value: Codable>: WirePlan<Value> {
    /// Creates the plan. Every pattern of bits must be a value of the type.
    init() { super.init(isLeaf: true) }

    override var isFlat: Bool { true }

    override func bound(_ value: Value) -> Int { 1 + WireLayout.varintBound + MemoryLayout<Value>.size }

    override func encode(_ value: Value, into writer: inout WireWriter) {
        withUnsafeBytes(of: value) { bytes in
            writer.write(WireTag.raw)
            writer.writeLengthPrefixedBytes(bytes)
        }
    }

    override func decode(from reader: inout WireReader) throws -> Value {
        var inner = try reader.unwrapped()
        let start = inner.offset
        guard try inner.peekTag() == WireTag.raw else { throw reader.mismatch(Value.self, at: reader.offset) }
        inner.offset &+= 1
        let bytes = try inner.readLengthPrefixedBytes()
        // One that was written in bulk, and is read alone, has the padding with it that lies between it and the next.
        guard bytes.count == MemoryLayout<Value>.size || bytes.count == MemoryLayout<Value>.stride else {
            throw WireMismatch(expected: Value.self, offset: start, kind: .doesNotFit)
        }
        try reader.finish(inner)
        return valueByCopying(UnsafeRawBufferPointer(rebasing: bytes.prefix(MemoryLayout<Value>.size)))
    }
}

/// Returns the value whose bytes are given; there must be exactly as many as it has.
private func valueByCopying<Value>(_ bytes: UnsafeRawBufferPointer) -> Value {
    withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { buffer in
        let target = UnsafeMutableRawBufferPointer(buffer)
        target.copyBytes(from: bytes)
        // One element was allocated, and its bytes are those of a value.
        return buffer.moveElement(from: 0)
    }
}

/// The plan for an array of values that are carried as they lie in memory.
final class BitwiseArrayPlan<Element: Codable>: WirePlan<[Element]> {
    /// Creates the plan. Every pattern of bits must be an element.
    init() { super.init(isLeaf: true) }

    override var bulk: BulkArrays? { BulkArrays(.raw, stride: MemoryLayout<Element>.stride) }

    override var isFlat: Bool { true }

    override func bound(_ value: [Element]) -> Int {
        WireLayout.packedHeadBound + value.count * MemoryLayout<Element>.stride
    }

    override func encode(_ value: [Element], into writer: inout WireWriter) {
        value.withUnsafeBytes { writer.writePacked(.raw, $0, elementSize: MemoryLayout<Element>.stride) }
    }

    override func decode(from reader: inout WireReader) throws -> [Element] {
        var inner = try reader.unwrapped()
        let start = inner.offset

        switch try inner.peekTag() {
        case WireTag.packed:
            let head = try inner.readPacked()
            guard head.kind == .raw, head.elementSize == MemoryLayout<Element>.stride else {
                throw WireMismatch(expected: [Element].self, offset: start, kind: .doesNotFit)
            }
            try reader.finish(inner)
            return arrayByCopying(head.bytes)
        case WireTag.list:
            return try readOneByOne(from: &reader, inner)
        case WireTag.empty:
            inner.offset &+= 1
            try reader.finish(inner)
            return []
        default:
            throw reader.mismatch([Element].self, at: reader.offset)
        }
    }

    /// Reads elements that were written one after another into an unkeyed container.
    private func readOneByOne(from reader: inout WireReader, _ list: WireReader) throws -> [Element] {
        var inner = list
        var body = try inner.readContainer()
        _ = try body.readElementCount()
        let element = BitwisePlan<Element>()
        var result: [Element] = []
        while !body.isAtEnd { result.append(try element.decode(from: &body)) }
        try reader.finish(inner)
        return result
    }
}
