// SPDX-License-Identifier: Apache-2.0

extension WireWriter {
    // MARK: - Tagged values

    /// Writes a single byte, which is a whole value.
    @inline(__always)
    mutating func writeTag(_ tag: UInt8) {
        write(tag)
    }

    /// Writes a signed or unsigned integer of any width in the fewest bytes.
    @inline(__always)
    mutating func writeInteger<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        if MemoryLayout<T>.size <= 8, T.isSigned {
            writeSmallestInteger(Int64(truncatingIfNeeded: value))
        } else if let signed = Int64(exactly: value) {
            writeSmallestInteger(signed)
        } else if let unsigned = UInt64(exactly: value) {
            writeTagged(WireTag.uint64, unsigned)
        } else if let signed = Int128(exactly: value) {
            writeTagged(WireTag.int128, signed)
        } else {
            writeTagged(WireTag.uint128, UInt128(truncatingIfNeeded: value))
        }
    }

    /// Writes a number of up to eight bytes in the fewest bytes.
    @inline(__always)
    private mutating func writeSmallestInteger(_ value: Int64) {
        if value >= -32, value <= 127 {
            write(UInt8(truncatingIfNeeded: value))
        } else {
            writeLargerInteger(value)
        }
    }

    /// Writes a number that needs a tag.
    private mutating func writeLargerInteger(_ value: Int64) {
        if let small = Int8(exactly: value) {
            writeTagged(WireTag.int8, small)
        } else if let small = Int16(exactly: value) {
            writeTagged(WireTag.int16, small)
        } else if let small = Int32(exactly: value) {
            writeTagged(WireTag.int32, small)
        } else {
            writeTagged(WireTag.int64, value)
        }
    }

    /// Writes a tag and the number that belongs to it.
    @inline(__always)
    mutating func writeTagged<T: FixedWidthInteger & BitwiseCopyable>(_ tag: UInt8, _ value: T) {
        let target = reserve(1 + MemoryLayout<T>.size)
        target.storeBytes(of: tag, as: UInt8.self)
        target.storeBytes(of: value.littleEndian, toByteOffset: 1, as: T.self)
        advance(by: 1 + MemoryLayout<T>.size)
    }

    /// Writes a string value.
    mutating func writeStringValue(_ value: String) {
        var contiguous = value
        contiguous.withUTF8 { utf8 in
            if utf8.count <= Int(WireTag.lastShortString - WireTag.shortString) {
                write(WireTag.shortString | UInt8(truncatingIfNeeded: utf8.count))
                writeBytes(UnsafeRawBufferPointer(utf8))
            } else {
                write(WireTag.string)
                writeLengthPrefixedBytes(UnsafeRawBufferPointer(utf8))
            }
        }
    }

    /// Writes the elements of a packed list as they lie in memory.
    mutating func writePacked(_ kind: PackedKind, _ bytes: UnsafeRawBufferPointer, elementSize: Int) {
        write(WireTag.packed)
        write(kind.rawValue)
        if kind == .raw { writeVarint(UInt64(elementSize)) }
        writeLengthPrefixedBytes(bytes)
    }

    // MARK: - Containers

    /// Writes the key of an entry.
    @inline(__always)
    mutating func writeKey(_ key: String) {
        var contiguous = key
        contiguous.withUTF8 { writeKey($0) }
    }

    /// Writes the key of an entry, given its UTF-8.
    @inline(__always)
    mutating func writeKey(_ utf8: UnsafeBufferPointer<UInt8>) {
        writeVarint(UInt64(utf8.count) << 1)
        writeBytes(UnsafeRawBufferPointer(utf8))
    }

    /// Writes the head of a container whose length is not known yet, and returns where it is.
    @inline(__always)
    mutating func beginContainer(_ tag: UInt8) -> Int {
        let start = count
        write(UInt64(tag))
        if tag == WireTag.list { write(UInt32(0)) }
        return start
    }

    /// Fills in the head at `start` of a container that ends at `end`.
    @inline(__always)
    mutating func fillContainer(_ tag: UInt8, at start: Int, to end: Int, elements: Int) {
        overwrite(UInt64(tag) | UInt64(end - start - WireLayout.headSize) << 8, at: start)
        // The number is a courtesy to readers that reserve memory; a list of more elements than it can say says none.
        if tag == WireTag.list { overwrite(UInt32(exactly: elements) ?? 0, at: start + WireLayout.headSize) }
    }
}
