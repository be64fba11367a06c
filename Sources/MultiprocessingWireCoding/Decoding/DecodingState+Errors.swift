// SPDX-License-Identifier: Apache-2.0
//
// Errors as user code expects them, with coding paths. A path is made only for an error or for who asks: from the values being decoded, which know their places, and from
// the message between them.

extension DecodingState {
    // MARK: - Errors

    /// Turns what the readers of bytes throw into what user code may catch; other errors stay as they are.
    @inline(never)
    func described(_ error: any Error) -> any Error {
        if let mismatch = error as? WireMismatch { return decodingError(mismatch) }
        guard var corrupt = error as? WireCodingError, corrupt.path.isEmpty else { return error }
        corrupt.path = WireKey.text(path(to: corrupt.offset ?? frames.last?.start ?? message.offset))
        return corrupt
    }

    /// Makes the error of a value that is not what was asked for.
    private func decodingError(_ mismatch: WireMismatch) -> DecodingError {
        let context = DecodingError.Context(
            codingPath: path(to: mismatch.offset),
            debugDescription: mismatch.description
        )
        return switch mismatch.kind {
        case .isNull: .valueNotFound(mismatch.expected, context)
        case .isAnotherType: .typeMismatch(mismatch.expected, context)
        case .doesNotFit: .dataCorrupted(context)
        }
    }

    // MARK: - Paths

    /// Returns the keys that lead to what is at `offset`.
    func path(to offset: Int) -> [any CodingKey] {
        var keys = pathPrefix
        var place = message.offset

        for frame in frames {
            guard frame.start <= offset, offset < max(frame.end, frame.start + 1) else { break }
            keys += walk(from: place, to: frame.container)
            if let key = key(of: frame.component) { keys.append(key) }
            place = frame.start
        }
        return keys + walk(from: place, to: offset)
    }

    /// Returns the key that says where a value is in its container.
    private func key(of component: WireComponent) -> WireKey? {
        switch component {
        case .whole: return nil
        case .element(let index): return WireKey(intValue: index)
        case .entry(let offset):
            guard offset <= message.end else { return nil }
            var reader = WireReader(message, from: offset, to: message.end)
            return (try? reader.readEntryKey().string).map { WireKey(stringValue: $0) }
        }
    }

    /// Returns the keys that lead from the value at `start` to `target` inside it; as many as can be made out.
    private func walk(from start: Int, to target: Int) -> [any CodingKey] {
        guard start < target, target < message.end else { return [] }
        var keys: [any CodingKey] = []
        var reader = WireReader(message, from: start, to: message.end)
        while let step = try? reader.step(towards: target) {
            if let key = step { keys.append(key) }
        }
        return keys
    }
}

extension WireReader {
    /// Moves from a value to the value inside it that `target` is in, and returns its key, if it has one. Throws when there is none.
    fileprivate mutating func step(towards target: Int) throws -> WireKey?? {
        guard offset < target else { return nil }

        switch try peekTag() {
        case WireTag.some:
            offset += 1
            return .some(nil)
        case WireTag.box:
            self = try readContainer()
            return offset <= target && target < end ? .some(nil) : nil
        case WireTag.keyed:
            self = try readContainer()
            return try stepIntoEntry(towards: target).map { .some($0) }
        case WireTag.list:
            self = try readContainer()
            offset += MemoryLayout<UInt32>.size
            return try stepIntoElement(towards: target).map { .some($0) }
        default:
            return nil
        }
    }

    /// Moves to the entry's value that `target` is in.
    private mutating func stepIntoEntry(towards target: Int) throws -> WireKey? {
        guard offset <= target else { return nil }
        while !isAtEnd {
            let entry = try readEntryKey()
            let value = offset
            try skipValue()
            guard target < offset else { continue }
            self = WireReader(self, from: value, to: offset)
            return entry.string.map { WireKey(stringValue: $0) }
        }
        return nil
    }

    /// Moves to the element that `target` is in.
    private mutating func stepIntoElement(towards target: Int) throws -> WireKey? {
        guard offset <= target else { return nil }
        var index = 0
        while !isAtEnd {
            let value = offset
            try skipValue()
            if target < offset {
                self = WireReader(self, from: value, to: offset)
                return WireKey(intValue: index)
            }
            index += 1
        }
        return nil
    }
}

extension WireMismatch: CustomStringConvertible {
    /// What was expected, and what was there.
    var description: String {
        switch kind {
        case .isNull: "\(expected) was expected, and there is null"
        case .doesNotFit: "what is there does not fit into \(expected)"
        case .isAnotherType(let tag): "\(expected) was expected, and there is \(WireTag.noun(tag))"
        }
    }
}
