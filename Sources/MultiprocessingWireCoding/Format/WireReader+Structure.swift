// SPDX-License-Identifier: Apache-2.0

/// The head of a packed list.
struct PackedHead {
    /// What the elements are.
    let kind: PackedKind
    /// The number of bytes of one element; at least one.
    let elementSize: Int
    /// The elements, in the message.
    let bytes: UnsafeRawBufferPointer

    /// The number of elements.
    var count: Int { bytes.count / elementSize }
}

extension WireReader {
    // MARK: - Heads

    /// Reads the head of a container that has to fit into the bytes left, and returns a reader of its body; this reader moves behind the body.
    @inline(__always)
    mutating func readContainer() throws -> WireReader {
        guard remaining >= WireLayout.headSize else { throw truncated(needing: WireLayout.headSize) }
        let head = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        let length = head >> 8
        guard length <= UInt64(remaining - WireLayout.headSize) else { throw lengthOutOfRange(length) }

        let start = offset &+ WireLayout.headSize
        offset = start &+ Int(truncatingIfNeeded: length)
        return WireReader(self, from: start, to: offset)
    }

    /// Reads the number of elements at the start of a list's body. Every element has at least one byte, so more elements than bytes are a lie.
    mutating func readElementCount() throws -> Int {
        let start = offset
        let count = Int(try read(UInt32.self))
        guard count <= remaining else {
            offset = start
            throw lengthOutOfRange(UInt64(count))
        }
        return count
    }

    /// Reads a packed list from its tag on.
    mutating func readPacked() throws -> PackedHead {
        let start = offset
        offset &+= 1
        let code = try read(UInt8.self)
        guard let kind = PackedKind(rawValue: code) else {
            throw WireCodingError(.invalidValue, "\(code) is no kind of packed element", at: start)
        }

        let size = try kind.size ?? Int(exactly: readVarint()) ?? 0
        let bytes = try readLengthPrefixedBytes()
        guard size > 0, bytes.count % size == 0 else {
            throw WireCodingError(.invalidValue, "\(bytes.count) bytes are no number of elements of \(size)", at: start)
        }
        return PackedHead(kind: kind, elementSize: size, bytes: bytes)
    }

    // MARK: - Stepping over

    /// Moves behind the next value, whatever it is. Constant time: a container says how long it is.
    mutating func skipValue() throws {
        var tag = try peekTag()
        while tag == WireTag.some {
            offset &+= 1
            tag = try peekTag()
        }

        switch tag {
        case 0..<0x80, WireTag.smallNegative..., WireTag.null...WireTag.empty, WireTag.absent: try skip(1)
        case WireTag.shortString...WireTag.lastShortString: try skip(1 + Int(tag & 0x1F))
        case WireTag.int8: try skip(2)
        case WireTag.int16: try skip(3)
        case WireTag.int32, WireTag.float: try skip(5)
        case WireTag.int64, WireTag.uint64, WireTag.double: try skip(9)
        case WireTag.int128, WireTag.uint128: try skip(17)
        case WireTag.string, WireTag.raw:
            offset &+= 1
            _ = try readLengthPrefixedBytes()
        case WireTag.packed: _ = try readPacked()
        case WireTag.keyed, WireTag.list, WireTag.box: _ = try readContainer()
        default: throw unknownTag(tag)
        }
    }

    /// Moves `count` bytes on.
    @inline(__always)
    private mutating func skip(_ count: Int) throws {
        guard count <= remaining else { throw truncated(needing: count) }
        offset &+= count
    }

    // MARK: - Wrappings

    /// Returns a reader at the value inside the optionals and boxes that the next value may be wrapped in. Give it back to `finish` when the value is read.
    ///
    /// A box in which nothing was written holds null.
    @inline(__always)
    func unwrapped() throws -> WireReader {
        let tag = try peekTag()
        return tag == WireTag.some || tag == WireTag.box ? try unwrappedSlowly() : self
    }

    /// Steps into optionals and boxes. Iterative, so that no message makes it deep.
    @inline(never)
    private func unwrappedSlowly() throws -> WireReader {
        var reader = self
        while true {
            switch try reader.peekTag() {
            case WireTag.some:
                reader.offset &+= 1
            case WireTag.box:
                let body = try reader.readContainer()
                guard !body.isAtEnd else { return WireReader.null }
                reader = body
            default:
                return reader
            }
        }
    }

    /// Moves behind a value that `inner`, a result of `unwrapped`, has read.
    @inline(__always)
    mutating func finish(_ inner: WireReader) throws {
        if inner.end == end, inner.base == base {
            offset = inner.offset
        } else {
            try skipValue()
        }
    }

    /// Returns a reader at the value inside the boxes that the next value may be in, but outside its optionals. Give it back to `finish` when the value is read.
    func unboxed() throws -> WireReader {
        var reader = self
        while try reader.peekTag() == WireTag.box {
            let body = try reader.readContainer()
            guard !body.isAtEnd else { return WireReader.null }
            reader = body
        }
        return reader
    }

    /// Whether the next value is null, seen through boxes but not through optionals that hold an optional.
    @inline(__always)
    func isNull() throws -> Bool {
        let tag = try peekTag()
        return tag == WireTag.box ? try unboxed().peekTag() == WireTag.null : tag == WireTag.null
    }

    /// Whether the next value is null, seen through boxes and optionals.
    @inline(__always)
    func isNullInside() throws -> Bool {
        try unwrapped().peekTag() == WireTag.null
    }

    /// A reader of a single null that belongs to no message.
    static var null: WireReader {
        WireReader(UnsafeRawBufferPointer(start: nullByte, count: 1))
    }
}

/// A byte that says null, for readers of what was never written. Safe because it is never written to nor freed.
private nonisolated(unsafe) let nullByte: UnsafeRawPointer = {
    let byte = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
    byte.storeBytes(of: WireTag.null, as: UInt8.self)
    return UnsafeRawPointer(byte)
}()

extension WireTag {
    /// Whether a value may begin with `tag`.
    static func isKnown(_ tag: UInt8) -> Bool {
        tag < absent || (tag >= shortString && tag <= lastShortString) || tag >= smallNegative
    }

    /// Returns the tag of a list's body or a container's, as a noun for messages.
    static func noun(_ tag: UInt8) -> String {
        switch tag {
        case null: "null"
        case no, yes: "a Boolean"
        case empty: "a value that encoded nothing"
        case 0..<0x80, int8...uint128, smallNegative...: "an integer"
        case float, double: "a floating-point number"
        case string, shortString...lastShortString: "a string"
        case packed: "a list of numbers"
        case raw: "bytes"
        case keyed: "a keyed container"
        case list: "an unkeyed container"
        case box: "what a super encoder wrote"
        default: "something unknown"
        }
    }
}
