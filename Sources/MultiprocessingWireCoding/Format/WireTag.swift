// SPDX-License-Identifier: Apache-2.0
//
// The layout of a message. All numbers are little-endian, nothing is aligned, and every value starts with one byte that says what it is:
//
//   value      bytes
//   ---------  ------------------------------------------------------------------------------------------------
//   integer    00…7F: the number itself; E0…FF: -32…-1; otherwise a tag and 1, 2, 4, 8 or 16 bytes
//   string     A0…BF: UTF-8 of 0…31 bytes; otherwise tag, varint length, UTF-8
//   float      tag, 4 or 8 bytes
//   packed     tag, kind of element (1 byte), [varint element size if the kind is raw,] varint byte count, the elements
//   raw        tag, varint size, the bytes of one value as they lie in memory
//   some       tag, value: tells .some(nil) from nil where an optional holds an optional
//   keyed      head (8 bytes), then entries: varint(key length * 2 + hidden), UTF-8 of the key, value
//   list       head (8 bytes), number of elements (4 bytes), then the elements
//   box        head (8 bytes), then one value or none: what a super encoder wrote
//   head       one 64-bit word: the low byte is the tag, the upper 56 bits are the number of bytes that follow it
//
// Why tags, where both ends are the same program? They cost a byte and buy that no bytes whatsoever are misread as something else, that user code may
// probe ("is it a Bool? a String?"), and that it may read with one width or container what it wrote with another. Why lengths in heads? Out-of-order
// keys and values nobody reads are stepped over in one step.
//
// An entry is hidden when a later entry has the same key, or (its value is the tag `absent`) when an optional was nil: a reader that expects the fields in
// the order written then finds the answer where it looks instead of searching the whole container for a key that is not there.
//
// An optional that is given to a container keeps its levels, in a box as well. One that writes itself (`value.encode(to: container.superEncoder())`) has one level, as with other coders: to the encoder it
// is a value that writes an optional into its single-value container, and such a type may ask for null (`decodeNil`) where it wrote one. Both cannot be had.

/// The first byte of a value.
enum WireTag {
    /// No value.
    static let null: UInt8 = 0x80
    /// False.
    static let no: UInt8 = 0x81
    /// True.
    static let yes: UInt8 = 0x82
    /// A value that encoded nothing.
    static let empty: UInt8 = 0x83
    /// One byte, signed.
    static let int8: UInt8 = 0x84
    /// Two bytes, signed.
    static let int16: UInt8 = 0x85
    /// Four bytes, signed.
    static let int32: UInt8 = 0x86
    /// Eight bytes, signed.
    static let int64: UInt8 = 0x87
    /// Eight bytes, unsigned, for numbers no signed eight bytes hold.
    static let uint64: UInt8 = 0x88
    /// Sixteen bytes, signed.
    static let int128: UInt8 = 0x89
    /// Sixteen bytes, unsigned, for numbers no signed sixteen bytes hold.
    static let uint128: UInt8 = 0x8A
    /// Four bytes of a `Float`.
    static let float: UInt8 = 0x8B
    /// Eight bytes of a `Double`.
    static let double: UInt8 = 0x8C
    /// A string of more than 31 bytes.
    static let string: UInt8 = 0x8D
    /// Elements of one fixed size.
    static let packed: UInt8 = 0x8E
    /// One value as it lies in memory.
    static let raw: UInt8 = 0x8F
    /// An optional that holds an optional.
    static let some: UInt8 = 0x90
    /// A keyed container.
    static let keyed: UInt8 = 0x91
    /// An unkeyed container.
    static let list: UInt8 = 0x92
    /// What a super encoder wrote.
    static let box: UInt8 = 0x93
    /// Stands for an optional that was nil, in a hidden entry only.
    static let absent: UInt8 = 0x94

    /// The first of the tags that are a short string and its length.
    static let shortString: UInt8 = 0xA0
    /// The last of the tags that are a short string and its length.
    static let lastShortString: UInt8 = 0xBF
    /// The first of the tags that are a negative number.
    static let smallNegative: UInt8 = 0xE0
}

/// Sizes of the parts that are filled in when a container ends.
enum WireLayout {
    /// The word that holds a container's tag and length.
    static let headSize = 8
    /// The head of an unkeyed container, with the number of its elements.
    static let listHeadSize = 12
    /// The most bytes that a writer asks for to write a number in groups of seven bits.
    static let varintBound = 10
    /// The most bytes that a writer asks for to write the head of a packed list: tag, kind, element size, length.
    static let packedHeadBound = 2 + 2 * varintBound
}

/// What the elements of a packed list are.
///
/// An integer's raw value is its number of bytes, plus 32 when it is signed.
enum PackedKind: UInt8 {
    case uint8 = 1
    case uint16 = 2
    case uint32 = 4
    case uint64 = 8
    case uint128 = 16
    case int8 = 33
    case int16 = 34
    case int32 = 36
    case int64 = 40
    case int128 = 48
    case float = 68
    case double = 72
    case bool = 97
    /// Values of a user's own type; their size is written behind the kind.
    case raw = 128

    /// The number of bytes of one element; nil where the message says it.
    var size: Int? { self == .raw ? nil : Int(rawValue & 31) }
}
