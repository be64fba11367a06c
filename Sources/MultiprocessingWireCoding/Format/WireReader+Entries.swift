// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The key of an entry, as it is in the message.
struct EntryKey {
    /// The UTF-8 of the key, not validated.
    let utf8: UnsafeRawBufferPointer
    /// Whether readers of keys do not see the entry.
    let isHidden: Bool

    /// The key; nil when its bytes are no UTF-8.
    var string: String? { validString(utf8) }

    /// Whether the key is `other`. `other` must be native UTF-8, as every string made in Swift is, or the comparison costs a copy.
    @inline(__always)
    func matches(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard other.count == utf8.count else { return false }
        guard let left = utf8.baseAddress, let right = other.baseAddress else { return utf8.isEmpty }
        return memcmp(left, right, other.count) == 0
    }
}

extension WireReader {
    /// Reads the key of the next entry of a keyed container's body.
    @inline(__always)
    mutating func readEntryKey() throws -> EntryKey {
        let start = offset
        let code = try readVarint()
        let length = code >> 1
        guard length <= UInt64(remaining) else {
            offset = start
            throw lengthOutOfRange(length)
        }
        return EntryKey(utf8: try readBytes(Int(truncatingIfNeeded: length)), isHidden: code & 1 != 0)
    }

    /// Returns the number of entries of a keyed container's body that are not hidden. Linear in them.
    func countEntries() throws -> Int {
        var copy = self
        var count = 0
        while !copy.isAtEnd {
            if try !copy.readEntryKey().isHidden { count += 1 }
            try copy.skipValue()
        }
        return count
    }
}
