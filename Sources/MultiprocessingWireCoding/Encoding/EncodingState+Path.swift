// SPDX-License-Identifier: Apache-2.0
//
// Coding paths are made only when somebody asks: the keys are in the message already.

extension EncodingState {
    /// Returns the keys that lead to the record at `reference`; none when the record is gone.
    func path(to reference: EncodingReference) -> [any CodingKey] {
        let index = Int(reference.index)
        guard records.indices.contains(index), records[index].serial == reference.serial else { return [] }
        return path(toRecord: index)
    }

    /// Returns the keys that lead to the record at `index`.
    private func path(toRecord index: Int) -> [any CodingKey] {
        var keys: [any CodingKey] = []
        var record = records[index]

        while record.parent >= 0 {
            let parent = records[Int(record.parent)]
            switch parent.form {
            case .keyed:
                let entry = EntryPlace(buffer: record.home, offset: record.entry)
                if let key = key(at: entry) { keys.append(WireKey(stringValue: key)) }
            case .list:
                keys.append(WireKey(intValue: record.entry))
            case .nothing, .single, .box:
                break
            }
            record = parent
        }
        return keys.reversed()
    }

    /// Returns the key of the entry at `place`.
    private func key(at place: EntryPlace) -> String? {
        withBytes(of: place.buffer) { bytes in
            guard place.offset <= bytes.count else { return nil }
            var reader = WireReader(UnsafeRawBufferPointer(rebasing: bytes[place.offset...]))
            return try? reader.readEntryKey().string
        }
    }
}
