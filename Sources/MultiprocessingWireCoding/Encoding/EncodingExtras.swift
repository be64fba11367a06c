// SPDX-License-Identifier: Apache-2.0

/// Where an entry of a keyed container is.
struct EntryPlace: Hashable {
    /// The number of the buffer.
    let buffer: Int32
    /// Where in it the entry begins.
    let offset: Int
}

/// A key, told from others by its bytes: strings that are equal but not the same are different keys.
struct EntryName: Hashable {
    /// The key.
    private let text: String

    /// Creates the key of the given UTF-8.
    init(_ utf8: UnsafeBufferPointer<UInt8>) { text = String(decoding: utf8, as: UTF8.self) }

    /// Creates a key of native UTF-8, as every string made in Swift is.
    init(_ text: String) { self.text = text }

    static func == (left: EntryName, right: EntryName) -> Bool {
        var (left, right) = (left.text, right.text)
        return left.withUTF8 { left in right.withUTF8 { left.elementsEqual($0) } }
    }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// What the encoder has to know about the few values that write to closed containers, or containers of many entries. By records, like everything about a value under way, and forgotten with them.
final class EncodingExtras {
    /// A buffer that is not the one being written to.
    final class Buffer {
        /// The index of the record that it continues; -1 for the message.
        let owner: Int32
        /// The bytes; none while they are the state's `writer`.
        @exclusivity(unchecked) var writer = WireWriter()

        /// Creates an empty buffer.
        init(owner: Int32) { self.owner = owner }
    }

    /// Where the entries of a container are.
    struct Directory {
        /// The index of the container's record.
        let owner: Int32
        /// Where the entries are that stand for a key, by key: the offset in the buffer that the container begins in, or the complement of that in the buffer of what was written to it late.
        var places: [EntryName: Int]
    }

    /// An entry of a container.
    private struct Nested: Hashable {
        /// The serial number of the container's record.
        let parent: UInt32
        /// Where the entry is.
        let place: EntryPlace
    }

    /// The buffers by their numbers, that of the message first. Those of an inner value lie above those of the values around it.
    @exclusivity(unchecked) private(set) var buffers = [Buffer(owner: -1)]
    /// The directories by their numbers, in the same order.
    @exclusivity(unchecked) var directories: [Directory] = []
    /// The indices of the records of containers in keyed containers, by their entries; of records that may be gone, too.
    @exclusivity(unchecked) private var nested: [Nested: Int] = [:]
    /// The serial number of the last record in `nested`.
    @exclusivity(unchecked) private var lastNested: UInt32 = 0

    /// Adds a buffer for the record at `index`, and returns its number.
    func addBuffer(for index: Int) -> Int32 {
        buffers.append(Buffer(owner: Int32(truncatingIfNeeded: index)))
        return Int32(truncatingIfNeeded: buffers.count - 1)
    }

    /// Adds a directory for the record at `index`, and returns its number.
    func addDirectory(_ places: [EntryName: Int], for index: Int) -> Int32 {
        directories.append(Directory(owner: Int32(truncatingIfNeeded: index), places: places))
        return Int32(truncatingIfNeeded: directories.count - 1)
    }

    /// Returns the index of the record that was made for an entry, if there was one. Each record is looked at once, however many entries are asked for.
    func record(
        of parent: EncodingRecord,
        at place: EntryPlace,
        among records: ContiguousArray<EncodingRecord>
    ) -> Int? {
        for index in records.indices.reversed() {
            let record = records[index]
            // In the order of their serial numbers, which may wrap.
            guard Int32(bitPattern: record.serial &- lastNested) > 0 else { break }
            guard record.parent >= 0 else { continue }
            let entry = EntryPlace(buffer: record.home, offset: record.entry)
            nested[Nested(parent: records[Int(record.parent)].serial, place: entry)] = index
        }
        lastNested = records.last?.serial ?? lastNested
        return nested[Nested(parent: parent.serial, place: place)]
    }

    /// Forgets what belongs to the records from `index` on.
    @inline(never)
    func forget(from index: Int32) {
        while let last = buffers.last, last.owner >= index { buffers.removeLast() }
        while let last = directories.last, last.owner >= index { directories.removeLast() }
    }
}
