// SPDX-License-Identifier: Apache-2.0

extension WireReader {
    // MARK: - Tags

    /// Returns the tag of the next value without reading it.
    @inline(__always)
    func peekTag() throws -> UInt8 {
        guard offset < end else { throw truncated(needing: 1) }
        return base.load(fromByteOffset: offset, as: UInt8.self)
    }

    // MARK: - Numbers

    /// Reads an integer value; throws a mismatch where it is something else or does not fit.
    @inline(__always)
    mutating func readInteger<T: FixedWidthInteger>(_ type: T.Type = T.self) throws -> T {
        if offset < end {
            let tag = base.load(fromByteOffset: offset, as: UInt8.self)
            // The numbers that are their own tag fit into every signed type, and those from 0 on into every type.
            if tag < 0x80 {
                offset &+= 1
                return T(truncatingIfNeeded: tag)
            }
            if MemoryLayout<T>.size == 8, T.isSigned, tag == WireTag.int64, remaining > 8 {
                let value = base.loadUnaligned(fromByteOffset: offset &+ 1, as: Int64.self)
                offset &+= 9
                return T(truncatingIfNeeded: Int64(littleEndian: value))
            }
        }
        return try readAnyInteger()
    }

    /// Reads an integer of any tag.
    @inline(never)
    private mutating func readAnyInteger<T: FixedWidthInteger>(_ type: T.Type = T.self) throws -> T {
        var reader = try unwrapped()
        let tag = try reader.peekTag()
        reader.offset &+= 1

        let value: T?
        switch tag {
        case 0..<0x80: value = T(exactly: tag)
        case WireTag.smallNegative...: value = T(exactly: Int8(bitPattern: tag))
        case WireTag.int8: value = T(exactly: try reader.read(Int8.self))
        case WireTag.int16: value = T(exactly: try reader.read(Int16.self))
        case WireTag.int32: value = T(exactly: try reader.read(Int32.self))
        case WireTag.int64: value = T(exactly: try reader.read(Int64.self))
        case WireTag.uint64: value = T(exactly: try reader.read(UInt64.self))
        case WireTag.int128: value = T(exactly: try reader.read(Int128.self))
        case WireTag.uint128: value = T(exactly: try reader.read(UInt128.self))
        case WireTag.float: value = T(exactly: Float(bitPattern: try reader.read(UInt32.self)))
        case WireTag.double: value = T(exactly: Double(bitPattern: try reader.read(UInt64.self)))
        default: throw mismatch(T.self, at: offset)
        }

        guard let value else { throw WireMismatch(expected: T.self, offset: offset, kind: .doesNotFit) }
        try finish(reader)
        return value
    }

    /// Reads a floating-point value; an integer is one too, as it is for other coders.
    mutating func readFloatingPoint<T: BinaryFloatingPoint>(_ type: T.Type = T.self) throws -> T {
        var reader = try unwrapped()
        let tag = try reader.peekTag()

        let value: T
        switch tag {
        case WireTag.double:
            reader.offset &+= 1
            value = T(Double(bitPattern: try reader.read(UInt64.self)))
        case WireTag.float:
            reader.offset &+= 1
            value = T(Float(bitPattern: try reader.read(UInt32.self)))
        case 0...0x7F, WireTag.int8...WireTag.uint128, WireTag.smallNegative...:
            value = T(try reader.readInteger(Int128.self))
        default:
            throw mismatch(T.self, at: offset)
        }

        try finish(reader)
        return value
    }

    /// Reads a Boolean value.
    @inline(__always)
    mutating func readBoolean() throws -> Bool {
        let tag = try peekTag()
        if tag == WireTag.yes || tag == WireTag.no {
            offset &+= 1
            return tag == WireTag.yes
        }

        var reader = try unwrapped()
        let inner = try reader.peekTag()
        guard inner == WireTag.yes || inner == WireTag.no else { throw mismatch(Bool.self, at: offset) }
        reader.offset &+= 1
        try finish(reader)
        return inner == WireTag.yes
    }

    // MARK: - Strings

    /// Reads a string value; throws when it is not UTF-8.
    mutating func readStringValue() throws -> String {
        let tag = try peekTag()
        if tag >= WireTag.shortString, tag <= WireTag.lastShortString {
            let length = Int(tag & 0x1F)
            guard length < remaining else { throw truncated(needing: length + 1) }
            let bytes = UnsafeRawBufferPointer(start: base + offset + 1, count: length)
            guard let string = validString(bytes) else { throw notUTF8() }
            offset &+= 1 &+ length
            return string
        }
        return try readAnyString()
    }

    /// Reads a string of any tag.
    private mutating func readAnyString() throws -> String {
        var reader = try unwrapped()
        let tag = try reader.peekTag()

        let string: String
        if tag == WireTag.string {
            reader.offset &+= 1
            string = try reader.readString()
        } else if tag >= WireTag.shortString, tag <= WireTag.lastShortString {
            string = try reader.readStringValue()
        } else {
            throw mismatch(String.self, at: offset)
        }

        try finish(reader)
        return string
    }

    /// Makes the error of a string with bytes that are no text.
    private func notUTF8() -> WireCodingError {
        WireCodingError(.invalidValue, "a string is not UTF-8", at: offset)
    }

    // MARK: - Mismatches

    /// Makes the error of a value that is not what the reader asked for.
    @inline(never)
    func mismatch(_ expected: any Any.Type, at offset: Int) -> any Error {
        guard let tag = try? peekTag() else { return truncated(needing: 1) }
        guard WireTag.isKnown(tag) else { return unknownTag(tag) }
        return WireMismatch(
            expected: expected,
            offset: offset,
            kind: tag == WireTag.null ? .isNull : .isAnotherType(tag)
        )
    }

    /// Makes the error of a byte that is no tag.
    @inline(never)
    func unknownTag(_ tag: UInt8) -> WireCodingError {
        WireCodingError(.invalidValue, "no value begins with the byte \(tag)", at: offset)
    }
}

/// A sound value that is not the one asked for, on its way to become a `DecodingError`, which needs a coding path that the readers of bytes do not know.
struct WireMismatch: Error {
    /// How the value differs from what was asked for.
    enum Kind {
        case isNull
        case doesNotFit
        case isAnotherType(UInt8)
    }

    /// The type asked for.
    let expected: any Any.Type
    /// Where the value is.
    let offset: Int
    /// How it differs.
    let kind: Kind
}
