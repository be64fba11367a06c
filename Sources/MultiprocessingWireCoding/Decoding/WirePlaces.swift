// SPDX-License-Identifier: Apache-2.0
//
// Finding out what in a container an offset belongs to. The parts of a container (elements, or entries) have no index in the message, so whoever wants to know where a byte is has to step over those before
// it. Code that finds out by trying what it reads asks at each failure: so what was stepped over once is remembered, and stepped over no more.

/// A part of a container.
struct WirePart {
    /// The number of parts before it.
    let index: Int
    /// A reader at the part, as far as the end of the container.
    let reader: WireReader
}

/// Where some of the parts of one container are.
struct WirePlaces {
    /// The number of parts from one remembered to the next: few enough to step over, and enough for little memory.
    static let spacing = 32

    /// Where every part begins whose index is a multiple of the spacing, as far as they were asked for.
    private var starts: ContiguousArray<Int> = []
    /// Where the first part begins that nobody asked for.
    private var next: Int
    /// The number of parts before that.
    private var count = 0

    /// Remembers nothing yet about the container whose parts begin where `body` stands.
    init(_ body: WireReader) { next = body.offset }

    /// Returns the part that `target` is in; nil when it is beyond the container. Throws where the container is not sound.
    mutating func part(around target: Int, in body: WireReader, isKeyed: Bool) throws -> WirePart? {
        try extend(beyond: target, in: body, isKeyed)

        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= target { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let from = WireReader(body, from: starts[low - 1], to: body.end)
        return try Self.part(around: target, from: from, first: (low - 1) * Self.spacing, isKeyed)
    }

    /// Steps over the parts up to the one that `target` is in.
    private mutating func extend(beyond target: Int, in body: WireReader, _ isKeyed: Bool) throws {
        var reader = WireReader(body, from: next, to: body.end)
        while next <= target, !reader.isAtEnd {
            try reader.skipPart(isKeyed)
            if count.isMultiple(of: Self.spacing) { starts.append(next) }
            next = reader.offset
            count += 1
        }
    }

    /// Returns the part that `target` is in if it is one of the first few where `reader` stands, the first of which has the index `first`.
    static func part(around target: Int, from reader: WireReader, first: Int = 0, _ isKeyed: Bool) throws -> WirePart? {
        var reader = reader
        for index in first..<first + spacing where !reader.isAtEnd {
            let part = WirePart(index: index, reader: reader)
            try reader.skipPart(isKeyed)
            if target < reader.offset { return part }
        }
        return nil
    }
}

extension WireReader {
    /// Moves behind an entry or an element.
    fileprivate mutating func skipPart(_ isEntry: Bool) throws {
        if isEntry { _ = try readEntryKey() }
        try skipValue()
    }
}
