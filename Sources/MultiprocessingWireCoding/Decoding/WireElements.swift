// SPDX-License-Identifier: Apache-2.0

/// The elements of an unkeyed container being read.
struct WireElements {
    /// Where the container begins.
    let start: Int
    /// Where the elements end.
    let end: Int
    /// Where the next element is; of no meaning in a packed list.
    var next: Int
    /// The elements, where they are packed.
    let packed: PackedHead?
    /// The number of elements, as the message says. It promises no more than one for each byte there is.
    let count: Int

    /// Finds the elements of the container where `reader` stands, and moves the reader behind it.
    init(from reader: inout WireReader) throws {
        var inner = try reader.unwrapped()
        start = inner.offset

        switch try inner.peekTag() {
        case WireTag.list:
            var body = try inner.readContainer()
            count = try body.readElementCount()
            next = body.offset
            packed = nil
        case WireTag.packed:
            let head = try inner.readPacked()
            count = head.count
            next = inner.offset
            packed = head
        case WireTag.empty:
            inner.offset += 1
            count = 0
            next = inner.offset
            packed = nil
        default:
            throw reader.mismatch((any UnkeyedDecodingContainer).self, at: reader.offset)
        }

        end = inner.offset
        try reader.finish(inner)
    }

    /// Whether there are no elements from `index`, the next one's, on.
    @inline(__always)
    func isAtEnd(_ index: Int) -> Bool {
        packed == nil ? next >= end : index >= count
    }
}

/// A message that was made from another one, with a list of single values instead of a packed one.
final class OwnedMessage {
    /// The bytes.
    private var writer: WireWriter
    /// The bytes, for as long as this object lives.
    let reader: WireReader

    /// Writes the elements of `packed` one by one.
    init(_ packed: PackedHead) {
        var writer = WireWriter(capacity: packed.bytes.count * 2 + 16)
        let start = writer.beginContainer(WireTag.list)
        for index in 0..<packed.count {
            let element = UnsafeRawBufferPointer(
                rebasing: packed.bytes[index * packed.elementSize..<(index + 1) * packed.elementSize]
            )
            Self.write(element, packed.kind, into: &writer)
        }
        writer.fillContainer(WireTag.list, at: start, to: writer.count, elements: packed.count)

        // The writer's memory stays where it is, because nothing is written any more.
        reader = writer.withUnsafeBytes { WireReader($0) }
        self.writer = writer
    }

    /// Writes one element of a packed list as a value.
    private static func write(_ element: UnsafeRawBufferPointer, _ kind: PackedKind, into writer: inout WireWriter) {
        switch kind {
        case .uint8: writer.writeInteger(element.loadUnaligned(as: UInt8.self))
        case .uint16: writer.writeInteger(element.loadUnaligned(as: UInt16.self))
        case .uint32: writer.writeInteger(element.loadUnaligned(as: UInt32.self))
        case .uint64: writer.writeInteger(element.loadUnaligned(as: UInt64.self))
        case .uint128: writer.writeInteger(element.loadUnaligned(as: UInt128.self))
        case .int8: writer.writeInteger(element.loadUnaligned(as: Int8.self))
        case .int16: writer.writeInteger(element.loadUnaligned(as: Int16.self))
        case .int32: writer.writeInteger(element.loadUnaligned(as: Int32.self))
        case .int64: writer.writeInteger(element.loadUnaligned(as: Int64.self))
        case .int128: writer.writeInteger(element.loadUnaligned(as: Int128.self))
        case .float: element.loadUnaligned(as: Float.self).write(into: &writer)
        case .double: element.loadUnaligned(as: Double.self).write(into: &writer)
        case .bool: writer.writeTag(element[0] == 0 ? WireTag.no : WireTag.yes)
        case .raw:
            writer.writeTag(WireTag.raw)
            writer.writeLengthPrefixedBytes(element)
        }
    }
}
