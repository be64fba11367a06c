// SPDX-License-Identifier: Apache-2.0
//
// A key that is written twice has the later value, as with every other coder, once that is written: the earlier one stays when it fails. Looking through the entries for each key would be quadratic, so
// a filter of 256 bits tells most keys that are new, and containers of many entries get a directory.

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
    /// The number of entries above which a container's keys are kept in a directory.
    private static let scannedEntries = 32

    /// Writes the key of a new entry of the container at the top, and returns where the earlier entry with that key is: to be hidden from readers once the value is written.
    func beginEntry(_ name: String) -> EntryPlace? {
        var name = name
        return name.withUTF8 { utf8 in
            let earlier = earlierEntry(utf8)
            writeKey(utf8)
            return earlier
        }
    }

    /// Writes the key of a new entry whose value cannot fail.
    func replaceEntry(_ name: String) {
        if let earlier = beginEntry(name) { hide(earlier) }
    }

    /// Forgets a new entry of the container at `reference` that failed, in favour of the earlier one.
    @inline(never)
    func abandonEntry(_ name: String, _ earlier: EntryPlace?, in reference: EncodingReference) {
        let index = Int(reference.index)
        records[index].count &-= 1
        if records[index].directory >= 0 { note(EntryName(name), at: earlier, index) }
    }

    /// Writes the key of a container inside that at the top, unless there is one of that form for this key, which is then returned.
    func beginNestedEntry(_ name: String, _ form: EncodingRecord.Form) -> EncodingReference? {
        var name = name
        return name.withUTF8 { utf8 in
            if let earlier = earlierEntry(utf8) {
                if let known = container(form, at: earlier) {
                    if records[top].directory >= 0 { note(EntryName(utf8), at: earlier, top) }
                    return known
                }
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
            if let earlier = earlierEntry(utf8) {
                if records[top].directory >= 0 { note(EntryName(utf8), at: earlier, top) }
                return
            }
            writeKey(utf8)
            setHidden(at: EntryPlace(buffer: buffer, offset: entry))
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

    /// Returns where the live entry with the given key is in the container at the top. From now on it is where the next byte is written.
    @inline(__always)
    private func earlierEntry(_ name: UnsafeBufferPointer<UInt8>) -> EntryPlace? {
        let mayBeThere = records[top].keys.insert(name)
        guard mayBeThere || records[top].count > Self.scannedEntries else { return nil }
        return searchEarlierEntry(name)
    }

    /// Looks for a key in the container at the top.
    @inline(never)
    private func searchEarlierEntry(_ name: UnsafeBufferPointer<UInt8>) -> EntryPlace? {
        if records[top].count > Self.scannedEntries {
            return note(EntryName(name), at: EntryPlace(buffer: buffer, offset: writer.count), top)
        }
        return forEachEntry(of: records[top]) { key, place in key.matches(name) ? place : nil }
    }

    /// Notes in the directory of the container at `index` where the entry of a key is, and returns where it was.
    @discardableResult
    private func note(_ name: EntryName, at place: EntryPlace?, _ index: Int) -> EntryPlace? {
        let extras = needExtras()
        if records[index].directory < 0 { makeDirectory(index, extras) }
        let (record, directory) = (records[index], Int(records[index].directory))

        let earlier =
            if let place {
                extras.directories[directory].places.updateValue(packed(place, record), forKey: name)
            } else {
                extras.directories[directory].places.removeValue(forKey: name)
            }
        guard let earlier else { return nil }
        return earlier >= 0
            ? EntryPlace(buffer: record.home, offset: earlier) : EntryPlace(buffer: record.late, offset: ~earlier)
    }

    /// Makes the directory of the container at `index`.
    private func makeDirectory(_ index: Int, _ extras: EncodingExtras) {
        let record = records[index]
        var places: [EntryName: Int] = [:]
        // More entries are on their way.
        places.reserveCapacity(4 * record.count)
        forEachEntry(of: record) { key, place -> Void? in
            if let name = key.string { places[EntryName(name)] = packed(place, record) }
            return nil
        }
        records[index].directory = extras.addDirectory(places, for: index)
    }

    /// Returns what a directory says about an entry of a record's container.
    private func packed(_ place: EntryPlace, _ record: EncodingRecord) -> Int {
        place.buffer == record.home ? place.offset : ~place.offset
    }

    /// Returns the container that was begun for the entry at `place` of the container at the top, if there is one of this form.
    private func container(_ form: EncodingRecord.Form, at place: EntryPlace) -> EncodingReference? {
        guard let index = needExtras().record(of: records[top], at: place, among: records), index < records.count
        else { return nil }
        let record = records[index]
        guard Int(record.parent) == top, record.home == place.buffer, record.entry == place.offset, record.form == form
        else { return nil }
        return EncodingReference(index: Int32(truncatingIfNeeded: index), serial: record.serial)
    }
}
