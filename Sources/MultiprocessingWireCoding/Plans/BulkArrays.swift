// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How arrays of a type are carried whose elements lie in a message as they lie in memory, for whoever has many small arrays: what is known of the type is asked for once, and no array is made of the type.
package struct BulkArrays: Sendable {
    private let kind: PackedKind
    /// The bytes from one element to the next.
    package let stride: Int

    init(_ kind: PackedKind, stride: Int) {
        self.kind = kind
        self.stride = stride
    }

    /// Returns nil for a type whose values are visited one by one.
    package init?<Element: Codable>(of type: Element.Type) {
        guard let bulk = PlanTable.plan(for: [Element].self)?.bulk else { return nil }
        self = bulk
    }

    /// Writes the elements in `bytes` as one array.
    @inline(__always)
    package func write(_ bytes: UnsafeRawBufferPointer, into writer: inout WireWriter) {
        writer.writePacked(kind, bytes, elementSize: stride)
    }

    /// Reads one array and returns its elements where they lie, which may be at any alignment; nil, with the reader where it was, when something else comes.
    package func read(from reader: inout WireReader) -> UnsafeRawBufferPointer? {
        var attempt = reader
        guard let tag = try? attempt.peekTag(), tag == WireTag.packed, let head = try? attempt.readPacked(),
            head.kind == kind, head.elementSize == stride,
            // Any byte but 0 and 1 is undefined behaviour as a Boolean.
            kind != .bool || Bool.areValid(head.bytes)
        else { return nil }
        reader = attempt
        return head.bytes
    }

    /// Reads the arrays that `message` consists of into `target`, one behind the other, and returns how many bytes they have; nil when something else is in it, or more than `room` bytes.
    package func readAll(
        _ message: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawPointer,
        room: Int
    ) -> Int? {
        var reader = WireReader(message)
        var count = 0
        while !reader.isAtEnd {
            guard let tag = try? reader.peekTag(), tag == WireTag.packed, let head = try? reader.readPacked(),
                head.kind == kind, head.elementSize == stride, head.bytes.count <= room - count,
                // Any byte but 0 and 1 is undefined behaviour as a Boolean.
                kind != .bool || Bool.areValid(head.bytes)
            else { return nil }
            if let source = head.bytes.baseAddress { memcpy(target + count, source, head.bytes.count) }
            count += head.bytes.count
        }
        return count
    }
}
