// SPDX-License-Identifier: Apache-2.0
//
// The entries of a keyed container under way, as they are in its buffers.

extension EncodingState {
    /// Calls `body` with each entry of a keyed container that stands for a key, and where it begins, until it returns something: entries with a
    /// value, and those that say that an optional was nil.
    @discardableResult
    func forEachEntry<Result>(of record: EncodingRecord, _ body: (EntryKey, EntryPlace) -> Result?) -> Result? {
        let end = record.end >= 0 ? record.end : nil
        let found = forEachEntry(in: record.home, from: record.start + WireLayout.headSize, to: end, body)
        guard found == nil, record.late >= 0 else { return found }
        return forEachEntry(in: record.late, from: 0, to: nil, body)
    }

    /// Calls `body` with the entries in a part of a buffer.
    private func forEachEntry<Result>(
        in buffer: Int32,
        from start: Int,
        to end: Int?,
        _ body: (EntryKey, EntryPlace) -> Result?
    ) -> Result? {
        withBytes(of: buffer) { bytes in
            let whole = WireReader(bytes)
            var reader = WireReader(whole, from: start, to: end ?? whole.end)

            while !reader.isAtEnd {
                let start = reader.offset
                guard let key = try? reader.readEntryKey(), let tag = try? reader.peekTag() else { break }
                if !key.isHidden || tag == WireTag.absent,
                    let result = body(key, EntryPlace(buffer: buffer, offset: start))
                {
                    return result
                }
                guard (try? reader.skipValue()) != nil else { break }
            }
            return nil
        }
    }

    /// Hides an entry from readers.
    @inline(never)
    func hide(_ place: EntryPlace) {
        setHidden(at: place)
        let value: Int? = withReader(at: place) { reader in
            guard (try? reader.readEntryKey()) != nil, (try? reader.peekTag()) == WireTag.absent else { return nil }
            return reader.offset
        }
        // No longer the answer to who looks here for the key.
        if let value { overwrite(WireTag.empty, at: EntryPlace(buffer: place.buffer, offset: value)) }
    }

    /// Sets the bit that hides the entry at `place`.
    @inline(__always)
    func setHidden(at place: EntryPlace) {
        let first = withBytes(of: place.buffer) { $0[place.offset] }
        overwrite(first | 1, at: place)
    }

    /// Calls `body` with a reader at `place`.
    private func withReader<Result>(at place: EntryPlace, _ body: (inout WireReader) -> Result) -> Result {
        withBytes(of: place.buffer) { bytes in
            let whole = WireReader(bytes)
            var reader = WireReader(whole, from: place.offset, to: whole.end)
            return body(&reader)
        }
    }
}
