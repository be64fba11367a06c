// SPDX-License-Identifier: Apache-2.0
//
// A key that is written twice has the later value, as with every other coder. Looking through the entries for each key would be quadratic, so a filter of 64 bits tells most keys
// that are new, and containers of many entries get a set.

extension EncodingState {
    /// The number of entries above which a container's keys are kept in a set.
    private static let scannedEntries = 32

    /// Writes the key of a new entry of the container at the top. An earlier entry with that key is hidden from readers.
    @inline(__always)
    func beginEntry<Key: CodingKey>(_ key: Key) {
        let name = key.stringValue
        if mayRepeat(key, name), let earlier = earlierEntry(name) { hide(earlier) }
        writeEntryKey(name)
    }

    /// Writes the key of a new entry of the container at the top, which has none with that key.
    @inline(__always)
    func writeEntryKey(_ name: String) {
        records[top].count &+= 1
        entry = writer.count
        writer.writeKey(name)
    }

    /// Writes that an optional was nil, for readers that expect its key here, unless there is a value for the key.
    @inline(__always)
    func writeAbsent<Key: CodingKey>(_ key: Key) {
        let name = key.stringValue
        if mayRepeat(key, name), earlierEntry(name) != nil { return }
        records[top].count &+= 1
        let start = writer.count
        writer.writeKey(name)
        setHidden(at: start)
        writer.writeTag(WireTag.absent)
    }

    /// Returns where the live entry with the given key in the container at the top is.
    @inline(never)
    func earlierEntry(_ name: String) -> Int? {
        let record = records[top]
        if record.count > Self.scannedEntries, isNew(name, record) { return nil }
        return entries(of: record).first { $0.key.string == name }?.start
    }

    /// Whether the container at the top may have the key already; notes that it has from now on.
    @inline(__always)
    func mayRepeat<Key: CodingKey>(_ key: Key, _ name: String) -> Bool {
        let bit = Self.filterBit(key, name)
        let seen = records[top].seenKeys
        records[top].seenKeys = seen | bit
        return seen & bit != 0 || records[top].count > Self.scannedEntries
    }

    /// Makes the filter of the container at `index` let every key through, when its keys so far were of another type: bits of two types do not compare.
    func adoptKeyType(_ type: ObjectIdentifier, at index: Int) {
        guard records[index].keyType != type else { return }
        records[index].keyType = type
        if records[index].count > 0 { records[index].seenKeys = .max }
    }

    /// Returns the bit of a key in the filter. Keys that are the same have the same bit.
    @inline(__always)
    private static func filterBit<Key: CodingKey>(_ key: Key, _ name: String) -> UInt64 {
        // Nearly every key is a case of an enum without payloads, which is a byte: then the first 64 keys have a bit each.
        if MemoryLayout<Key>.size <= 1 {
            return withUnsafeBytes(of: key) { 1 << UInt64(($0.first ?? 0) & 63) }
        }
        let utf8 = name.utf8
        return 1 << UInt64((utf8.count &+ Int(utf8.first ?? 0) &+ Int(utf8.last ?? 0) &* 7) & 63)
    }

    /// Adds a key to the set of those of a container; returns whether it was not there.
    private func isNew(_ name: String, _ record: EncodingRecord) -> Bool {
        if keySets[record.serial] == nil {
            keySets[record.serial] = Set(entries(of: record).compactMap { $0.key.string })
        }
        return keySets[record.serial]?.insert(name).inserted ?? true
    }

    // MARK: - Entries in the message

    /// Returns the entries of a keyed container that stand for a key: those with a value, and those that say that an optional was nil. The keys
    /// point into the message, and are good until it is written to.
    private func entries(of record: EncodingRecord) -> [(key: EntryKey, start: Int)] {
        writer.withUnsafeBytes { bytes in
            var result: [(EntryKey, Int)] = []
            let whole = WireReader(bytes)
            let end = record.end >= 0 ? record.end : whole.end
            var reader = WireReader(whole, from: record.start + WireLayout.headSize, to: end)

            while !reader.isAtEnd {
                let start = reader.offset
                guard let key = try? reader.readEntryKey(), let tag = try? reader.peekTag() else { break }
                if !key.isHidden || tag == WireTag.absent { result.append((key, start)) }
                guard (try? reader.skipValue()) != nil else { break }
            }
            return result
        }
    }

    /// Hides an entry from readers.
    func hide(_ start: Int) {
        setHidden(at: start)
        guard let value = valueOffset(ofEntryAt: start), byte(at: value) == WireTag.absent else { return }
        // No longer the answer to who looks here for the key.
        writer.overwrite(WireTag.empty, at: value)
    }

    /// Sets the bit that hides the entry at `start`.
    @inline(__always)
    private func setHidden(at start: Int) {
        writer.overwrite(byte(at: start) | 1, at: start)
    }

    /// Returns where the value of an entry is.
    private func valueOffset(ofEntryAt start: Int) -> Int? {
        writer.withUnsafeBytes { bytes in
            let whole = WireReader(bytes)
            var reader = WireReader(whole, from: start, to: whole.end)
            guard (try? reader.readEntryKey()) != nil else { return nil }
            return reader.offset
        }
    }

    /// Returns one byte of the message.
    @inline(__always)
    private func byte(at offset: Int) -> UInt8 {
        writer.withUnsafeBytes { $0[offset] }
    }
}
