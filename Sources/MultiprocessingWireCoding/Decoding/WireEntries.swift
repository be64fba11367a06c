// SPDX-License-Identifier: Apache-2.0
//
// Finding the fields of a keyed container. Fields are nearly always read in the order they were written, so the first look is at the entry after the one read last: one comparison of keys. Whoever
// reads in another order pays for a search, and in a container of many entries once for a directory.

internal import Glibc

/// An entry that was found.
struct WireEntry {
    /// Where the entry begins.
    let start: Int
    /// A reader at its value, as far as the end of the container.
    let value: WireReader

    /// Where the value ends.
    var end: Int {
        get throws {
            var reader = value
            try reader.skipValue()
            return reader.offset
        }
    }
}

/// The entries of a keyed container being read.
struct WireEntries {
    /// The number of entries that a search may look at before it makes a directory.
    private static let searchedEntries = 32

    /// Where the container begins.
    let start: Int
    /// Where the first entry begins.
    let body: Int
    /// Where the last entry ends.
    let end: Int
    /// Which of the state's hints is this container's, unless another one at that depth has taken it.
    let level: Int

    /// Finds the entries of the container where `reader` stands, and moves the reader behind it.
    init(_ state: DecodingState, from reader: inout WireReader, level: Int) throws {
        var inner = try reader.unwrapped()
        start = inner.offset
        self.level = level

        switch try inner.peekTag() {
        case WireTag.keyed:
            body = try inner.readContainer().offset
        case WireTag.empty:
            inner.offset &+= 1
            body = inner.offset
        default:
            throw reader.mismatch([String: Any].self, at: reader.offset)
        }

        end = inner.offset
        try reader.finish(inner)
        while state.hints.count <= level { state.hints.append(DecodingHint()) }
        state.hints[level] = DecodingHint(container: body, next: body)
    }

    // MARK: - The expected entry

    /// Notes that the entry at `offset` is probably the next to be read.
    @inline(__always)
    func expect(_ offset: Int, in state: DecodingState) {
        state.hints[level] = DecodingHint(container: body, next: offset)
    }

    /// Notes that the entry after `entry` is probably the next to be read.
    func skip(_ entry: WireEntry, in state: DecodingState) throws {
        expect(try entry.end, in: state)
    }

    /// Finds the entry of a key; returns nil when there is none.
    @inline(__always)
    func find(_ name: String, in state: DecodingState) throws -> WireEntry? {
        var contiguous = name
        return try contiguous.withUTF8 { try find($0, in: state) }
    }

    /// Finds the entry of the key with the given UTF-8.
    private func find(_ name: UnsafeBufferPointer<UInt8>, in state: DecodingState) throws -> WireEntry? {
        guard body < end else { return nil }
        let hint = state.hints[level]
        let first = hint.container == body ? hint.next : body
        var reader = try state.reader(from: body, to: end)
        reader.offset = first

        if first < end {
            do {
                let key = try reader.readEntryKey()
                if key.matches(name) {
                    if !key.isHidden { return WireEntry(start: first, value: reader) }
                    if try reader.peekTag() == WireTag.absent {
                        expect(reader.offset &+ 1, in: state)
                        return nil
                    }
                }
            } catch {
                throw state.described(error)
            }
        }
        return try search(name, from: first, in: state)
    }

    // MARK: - Search

    /// Looks through all entries: those from `first` on, then those before.
    @inline(never)
    private func search(
        _ name: UnsafeBufferPointer<UInt8>,
        from first: Int,
        in state: DecodingState
    ) throws -> WireEntry? {
        do {
            if let directory = state.directories[body] { return lookUp(name, directory, state) }
            var looked = 0
            let found =
                try look(for: name, from: first, to: end, &looked, state)
                ?? look(for: name, from: body, to: first, &looked, state)
            if looked > Self.searchedEntries { state.directories[body] = try directory(state) }
            if let found { expect(found.start, in: state) }
            return found
        } catch {
            throw state.described(error)
        }
    }

    /// Looks through the entries from one offset to another, and counts them.
    private func look(
        for name: UnsafeBufferPointer<UInt8>,
        from first: Int,
        to last: Int,
        _ looked: inout Int,
        _ state: DecodingState
    ) throws -> WireEntry? {
        var reader = try state.reader(from: body, to: end)
        reader.offset = first
        while reader.offset < last {
            let start = reader.offset
            let key = try reader.readEntryKey()
            if !key.isHidden, key.matches(name) { return WireEntry(start: start, value: reader) }
            try reader.skipValue()
            looked += 1
        }
        return nil
    }

    /// Returns where each live entry is, by its key.
    private func directory(_ state: DecodingState) throws -> [String: Int] {
        var directory: [String: Int] = [:]
        var reader = try state.reader(from: body, to: end)
        while !reader.isAtEnd {
            let start = reader.offset
            let key = try reader.readEntryKey()
            if !key.isHidden, let name = key.string { directory[name] = start }
            try reader.skipValue()
        }
        return directory
    }

    /// Finds an entry by the directory.
    private func lookUp(
        _ name: UnsafeBufferPointer<UInt8>,
        _ directory: [String: Int],
        _ state: DecodingState
    ) -> WireEntry? {
        guard let start = directory[String(decoding: name, as: UTF8.self)],
            var reader = try? state.reader(from: start, to: end),
            (try? reader.readEntryKey()) != nil
        else { return nil }
        expect(start, in: state)
        return WireEntry(start: start, value: reader)
    }

    /// Returns the keys of all entries, in the order they were written.
    func names(in state: DecodingState) -> [String] {
        var names: [String] = []
        guard body < end, var reader = try? state.reader(from: body, to: end) else { return names }
        while !reader.isAtEnd {
            guard let key = try? reader.readEntryKey() else { break }
            if !key.isHidden, let name = key.string { names.append(name) }
            guard (try? reader.skipValue()) != nil else { break }
        }
        return names
    }
}
