// SPDX-License-Identifier: Apache-2.0

/// What the encoder knows about a value or container while the value around it is under way.
///
/// Containers have no end in `Codable`: one ends when its parent is written to, or when the value it is part of returns. And even then user code may come back and write
/// some more into it. So the records of a value's containers are kept until the value is complete.
struct EncodingRecord {
    /// What has been written so far.
    enum Form {
        /// Nothing; the encoder of a value that has asked for no container yet.
        case nothing
        /// A whole value, without a container.
        case single
        /// A keyed container.
        case keyed
        /// An unkeyed container.
        case list
        /// The box of a super encoder.
        case box

        /// The tag of the container; nil for what has no head.
        @inline(__always)
        var tag: UInt8? {
            switch self {
            case .nothing, .single: nil
            case .keyed: WireTag.keyed
            case .list: WireTag.list
            case .box: WireTag.box
            }
        }
    }

    /// Tells this record from others that have had its index.
    let serial: UInt32
    /// The index of the record of the container around this; -1 for the outermost value.
    let parent: Int32
    /// What has been written.
    var form: Form
    /// The number of the buffer that it begins in; see EncodingState+LateWrites.
    var home: Int32
    /// The number of the buffer of what was written to it after it was closed; -1 while there is none.
    var late: Int32 = -1
    /// The number of the directory of its entries, in a keyed container of many; -1 while there is none.
    var directory: Int32 = -1
    /// The number of entries or elements.
    var count = 0
    /// Where the head is, or where the value begins.
    var start: Int
    /// Where it ends; -1 while it is open.
    var end = -1
    /// Where in the parent it is: the offset of the entry in a keyed container, the index in a list.
    var entry: Int
    /// The keys written, in a keyed container.
    var keys = KeyFilter()
}

/// A reference to a record that does no harm once the record is gone.
struct EncodingReference {
    /// The index of the record.
    let index: Int32
    /// The serial number of the record.
    let serial: UInt32

    /// Refers to nothing: for what was asked for in vain. Not -1, which is the index of the innermost open record when there is none.
    static let none = EncodingReference(index: -2, serial: 0)
}
