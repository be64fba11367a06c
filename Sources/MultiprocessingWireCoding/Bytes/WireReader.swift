// SPDX-License-Identifier: Apache-2.0
//
// The reading end of a message. Its bytes come from another process, which may have been killed or gone mad half-way: every length is compared with
// the bytes that are left before anything is read or allocated, and nothing traps.

/// A cursor over bytes that belong to somebody else, with reads of the primitive values that messages are made of.
///
/// The bytes must outlive the reader. A read that fails leaves the cursor where it was.
@usableFromInline
package struct WireReader {
    /// The first byte of the message.
    @usableFromInline package let base: UnsafeRawPointer

    /// How many bytes have been read.
    @usableFromInline package var offset: Int

    /// The offset after the last byte.
    @usableFromInline package let end: Int

    /// Creates a reader at the first of `bytes`.
    @inlinable
    package init(_ bytes: UnsafeRawBufferPointer) {
        // A buffer without bytes may have no address; the reader never touches an address without having compared lengths.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        offset = 0
        end = bytes.count
    }

    /// Creates a reader of the bytes from `offset` to `end` of what `other` reads.
    @inlinable
    @inline(__always)
    package init(_ other: WireReader, from offset: Int, to end: Int) {
        assert(offset >= 0 && offset <= end && end <= other.end, "a reader of a part stays inside the whole")
        base = other.base
        self.offset = offset
        self.end = end
    }

    /// The number of bytes not read yet.
    @inlinable
    @inline(__always)
    package var remaining: Int { end &- offset }

    /// Whether every byte has been read.
    @inlinable
    @inline(__always)
    package var isAtEnd: Bool { offset >= end }

    // MARK: - Primitive values

    /// Reads an integer of fixed width, little-endian.
    @inlinable
    @inline(__always)
    package mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) throws -> T {
        guard MemoryLayout<T>.size <= remaining else { throw truncated(needing: MemoryLayout<T>.size) }
        let value = T(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: T.self))
        offset &+= MemoryLayout<T>.size
        return value
    }

    /// Reads a number that `writeVarint` wrote.
    @inlinable
    @inline(__always)
    package mutating func readVarint() throws -> UInt64 {
        guard offset < end else { throw truncated(needing: 1) }
        let first = base.load(fromByteOffset: offset, as: UInt8.self)
        guard first >= 0x80 else {
            offset &+= 1
            return UInt64(first)
        }
        return try readLongVarint()
    }

    /// Reads a string that `writeString` wrote; throws when it is not UTF-8.
    package mutating func readString() throws -> String {
        let start = offset
        let bytes = try readLengthPrefixedBytes()
        guard let string = validString(bytes) else {
            offset = start
            throw WireCodingError(.invalidValue, "a string is not UTF-8", at: start)
        }
        return string
    }

    /// Reads `count` bytes, in place: the result points into the message.
    @inlinable
    @inline(__always)
    package mutating func readBytes(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw truncated(needing: count) }
        let bytes = UnsafeRawBufferPointer(start: base + offset, count: count)
        offset &+= count
        return bytes
    }

    /// Reads bytes that `writeLengthPrefixedBytes` wrote, in place.
    @inlinable
    @inline(__always)
    package mutating func readLengthPrefixedBytes() throws -> UnsafeRawBufferPointer {
        let start = offset
        let count = try readCount()
        guard count <= remaining else {
            offset = start
            throw truncated(needing: count)
        }
        return try readBytes(count)
    }

    /// Reads a number of elements, and checks that the bytes left can hold as many, so that the caller may allocate for them.
    @inlinable
    @inline(__always)
    package mutating func readCount(minimumBytesPerElement: Int = 1) throws -> Int {
        let start = offset
        let count = try readVarint()
        guard count <= UInt64(remaining / max(minimumBytesPerElement, 1)) else {
            offset = start
            throw lengthOutOfRange(count)
        }
        return Int(truncatingIfNeeded: count)
    }

    // MARK: - Off the fast path

    /// Reads a varint of several bytes.
    @usableFromInline
    @inline(never)
    package mutating func readLongVarint() throws -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        var position = offset

        while position < end {
            let byte = base.load(fromByteOffset: position, as: UInt8.self)
            position += 1
            // The tenth byte holds the 64th bit only.
            guard shift < 63 || byte <= 1 else {
                throw WireCodingError(.lengthOutOfRange, "a number has more than 64 bits", at: offset)
            }
            value |= UInt64(byte & 0x7F) << shift

            if byte < 0x80 {
                offset = position
                return value
            }
            shift += 7
        }
        throw truncated(needing: position - offset + 1)
    }

    /// Makes the error of a message that ends too early.
    @usableFromInline
    @inline(never)
    package func truncated(needing count: Int) -> WireCodingError {
        WireCodingError(.truncated, "\(count) bytes are needed and \(remaining) are left", at: offset)
    }

    /// Makes the error of a length that the message cannot hold.
    @usableFromInline
    @inline(never)
    package func lengthOutOfRange(_ count: UInt64) -> WireCodingError {
        WireCodingError(
            .lengthOutOfRange,
            "a length of \(count) is more than the \(remaining) bytes left hold",
            at: offset
        )
    }
}
