// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// A standard type of fixed size, arrays of which are copied as they lie in memory.
protocol WireNumber: WireLeaf, BitwiseCopyable {
    /// What an array of this type is in a message.
    static var packedKind: PackedKind { get }
    /// Whether bytes from a message are values of this type.
    static func areValid(_ bytes: UnsafeRawBufferPointer) -> Bool
}

extension WireNumber {
    @inline(__always)
    static func areValid(_ bytes: UnsafeRawBufferPointer) -> Bool { true }

    /// Twice the size, because an unsigned number that is too large for the signed type of its width is written as one of the next.
    @inline(__always)
    var bound: Int { 1 + 2 * MemoryLayout<Self>.size }

    @inline(__always)
    static func arrayBound(_ count: Int) -> Int? { WireLayout.packedHeadBound + count * MemoryLayout<Self>.size }

    @inline(__always)
    static func writeArray(_ elements: UnsafeBufferPointer<Self>, into writer: inout WireWriter) {
        writer.writePacked(packedKind, UnsafeRawBufferPointer(elements), elementSize: MemoryLayout<Self>.size)
    }

    @inline(__always)
    static func readArray(from reader: inout WireReader) throws -> [Self] {
        var copy = reader
        guard try copy.peekTag() == WireTag.packed else { return try readListOrPacked(from: &reader) }
        let head = try copy.readPacked()
        guard head.kind == packedKind else { return try readListOrPacked(from: &reader) }
        guard areValid(head.bytes) else {
            throw WireCodingError(.invalidValue, "an element is no \(Self.self)", at: reader.offset)
        }
        reader = copy
        return arrayByCopying(head.bytes)
    }
}

/// Returns an array of the values that lie one after another in `bytes`, whose number must be a multiple of the type's stride.
@inline(__always)
func arrayByCopying<Element>(_ bytes: UnsafeRawBufferPointer) -> [Element] {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return [] }
    return Array(unsafeUninitializedCapacity: bytes.count / MemoryLayout<Element>.stride) { buffer, count in
        guard let target = buffer.baseAddress else { return }
        mp_advise_large(target, bytes.count)
        LargeCopy.copy(source, to: target, count: bytes.count)
        count = bytes.count / MemoryLayout<Element>.stride
    }
}

/// Calls `body` with the number that lies at `bytes` in a packed list of `kind`; returns nil when the elements are no numbers.
@inline(__always)
private func withPackedNumber<Result>(
    _ bytes: UnsafeRawPointer,
    _ kind: PackedKind,
    integer: (any FixedWidthInteger) -> Result?,
    floatingPoint: (Double) -> Result?
) -> Result? {
    switch kind {
    case .uint8: integer(bytes.loadUnaligned(as: UInt8.self))
    case .uint16: integer(bytes.loadUnaligned(as: UInt16.self))
    case .uint32: integer(bytes.loadUnaligned(as: UInt32.self))
    case .uint64: integer(bytes.loadUnaligned(as: UInt64.self))
    case .uint128: integer(bytes.loadUnaligned(as: UInt128.self))
    case .int8: integer(bytes.loadUnaligned(as: Int8.self))
    case .int16: integer(bytes.loadUnaligned(as: Int16.self))
    case .int32: integer(bytes.loadUnaligned(as: Int32.self))
    case .int64: integer(bytes.loadUnaligned(as: Int64.self))
    case .int128: integer(bytes.loadUnaligned(as: Int128.self))
    case .float: floatingPoint(Double(bytes.loadUnaligned(as: Float.self)))
    case .double: floatingPoint(bytes.loadUnaligned(as: Double.self))
    case .bool, .raw: nil
    }
}

extension WireNumber where Self: FixedWidthInteger {
    static func readElement(_ bytes: UnsafeRawPointer, _ kind: PackedKind) -> Self? {
        if kind == packedKind { return bytes.loadUnaligned(as: Self.self) }
        return withPackedNumber(bytes, kind) {
            Self(exactly: $0)
        } floatingPoint: {
            Self(exactly: $0)
        }
    }
}

extension WireNumber where Self: BinaryFloatingPoint {
    static func readElement(_ bytes: UnsafeRawPointer, _ kind: PackedKind) -> Self? {
        if kind == packedKind { return bytes.loadUnaligned(as: Self.self) }
        return withPackedNumber(bytes, kind) {
            Self($0)
        } floatingPoint: {
            Self($0)
        }
    }
}
