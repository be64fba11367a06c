// SPDX-License-Identifier: Apache-2.0
//
// A key that is written twice has the later value, as with every other coder. Looking through the entries for each key would be quadratic, so a filter of 256 bits tells most
// keys that are new, and containers of many entries get a set.

/// The keys of a container, roughly: one that is not in here was not written.
struct KeyFilter {
    /// A bit for each value of the hash.
    private var bits = SIMD4<UInt64>()

    /// Adds a key; returns whether it may have been there.
    @inline(__always)
    mutating func insert(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        // Names of fields differ in length, at their ends, or in the middle; a real hash would cost more than the comparisons it saves.
        var hash = name.count &* 37
        if let first = name.first {
            hash &+= Int(first) &* 5 &+ Int(name[name.count &- 1]) &* 11 &+ Int(name[name.count / 2]) &* 23
        }
        let word = (hash >> 6) & 3
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: hash & 63)
        let old = bits[word]
        bits[word] = old | bit
        return old & bit != 0
    }
}

extension EncodingState {
    /// The number of entries above which a container's keys are kept in a set.
    private static let scannedEntries = 32

    /// Writes the key of a new entry of the container at the top. An earlier entry with that key is hidden from readers.
    func beginEntry(_ name: String) {
        var name = name
        name.withUTF8 { utf8 in
            if let earlier = earlierEntry(utf8) { hide(earlier) }
            writeKey(utf8)
        }
    }

    /// Writes the key of a container inside that at the top, unless there is one of that form for this key, which is then returned.
    func beginNestedEntry(_ name: String, _ form: EncodingRecord.Form) -> EncodingReference? {
        var name = name
        return name.withUTF8 { utf8 in
            if let earlier = earlierEntry(utf8) {
                if let known = container(form, at: earlier) { return known }
                hide(earlier)
            }
            writeKey(utf8)
            return nil
        }
    }

    /// Writes that an optional was nil, for readers that expect its key here, unless there is a value for the key.
    func writeAbsent(_ name: String) {
        var name = name
        name.withUTF8 { utf8 in
            guard earlierEntry(utf8) == nil else { return }
            writeKey(utf8)
            setHidden(at: entry)
            writer.writeTag(WireTag.absent)
        }
    }

    /// Writes the key of an entry that the container at the top does not have.
    @inline(__always)
    private func writeKey(_ name: UnsafeBufferPointer<UInt8>) {
        records[top].count &+= 1
        entry = writer.count
        writer.writeKey(name)
    }

    // MARK: - Keys written before

    /// Returns where the live entry with the given key is in the container at the top.
    @inline(__always)
    private func earlierEntry(_ name: UnsafeBufferPointer<UInt8>) -> Int? {
        let mayBeThere = records[top].keys.insert(name)
        guard mayBeThere || records[top].count > Self.scannedEntries else { return nil }
        return searchEarlierEntry(name)
    }

    /// Looks for a key in the container at the top.
    @inline(never)
    private func searchEarlierEntry(_ name: UnsafeBufferPointer<UInt8>) -> Int? {
        let record = records[top]
        if record.count > Self.scannedEntries, isNew(name, record) { return nil }
        return forEachEntry(of: record) { key, start in key.matches(name) ? start : nil }
    }

    /// Adds a key to the set of those of a container; returns whether it was not there.
    private func isNew(_ name: UnsafeBufferPointer<UInt8>, _ record: EncodingRecord) -> Bool {
        if keySets[record.serial] == nil {
            var names: Set<String> = []
            forEachEntry(of: record) { key, _ -> Void? in
                if let name = key.string { names.insert(name) }
                return nil
            }
            keySets[record.serial] = names
        }
        return keySets[record.serial]?.insert(String(decoding: name, as: UTF8.self)).inserted ?? true
    }

    /// Returns the container that was begun for the entry at `offset` of the container at the top, if there is one of this form.
    private func container(_ form: EncodingRecord.Form, at offset: Int) -> EncodingReference? {
        let known = records.indices.first {
            Int(records[$0].parent) == top && records[$0].entry == offset && records[$0].form == form
        }
        return known.map { EncodingReference(index: Int32(truncatingIfNeeded: $0), serial: records[$0].serial) }
    }

    // MARK: - Entries in the message

    /// Calls `body` with each entry of a keyed container that stands for a key, and where it begins, until it returns something: entries with a
    /// value, and those that say that an optional was nil.
    @discardableResult
    private func forEachEntry<Result>(of record: EncodingRecord, _ body: (EntryKey, Int) -> Result?) -> Result? {
        writer.withUnsafeBytes { bytes in
            let whole = WireReader(bytes)
            let end = record.end >= 0 ? record.end : whole.end
            var reader = WireReader(whole, from: record.start + WireLayout.headSize, to: end)

            while !reader.isAtEnd {
                let start = reader.offset
                guard let key = try? reader.readEntryKey(), let tag = try? reader.peekTag() else { break }
                if !key.isHidden || tag == WireTag.absent, let result = body(key, start) { return result }
                guard (try? reader.skipValue()) != nil else { break }
            }
            return nil
        }
    }

    /// Hides an entry from readers.
    private func hide(_ start: Int) {
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
