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
        while let step = try? step(&reader, towards: target) {
            if let key = step { keys.append(key) }
        }
        return keys
    }

    /// Moves from a value to the value inside it that `target` is in, and returns its key, if it has one. Returns nil when there is none.
    private func step(_ reader: inout WireReader, towards target: Int) throws -> WireKey?? {
        guard reader.offset < target else { return nil }

        switch try reader.peekTag() {
        case WireTag.some:
            reader.offset += 1
            return .some(nil)
        case WireTag.box:
            reader = try reader.readContainer()
            return reader.offset <= target && target < reader.end ? .some(nil) : nil
        case WireTag.keyed:
            let body = try reader.readContainer()
            guard let entry = try part(of: body, around: target, isKeyed: true) else { return nil }
            reader = entry.reader
            let key = try reader.readEntryKey()
            return key.string.map { .some(WireKey(stringValue: $0)) }
        case WireTag.list:
            var body = try reader.readContainer()
            body.offset += MemoryLayout<UInt32>.size
            guard let element = try part(of: body, around: target, isKeyed: false) else { return nil }
            reader = element.reader
            return .some(WireKey(intValue: element.index))
        default:
            return nil
        }
    }

    /// Returns the part of a container that `target` is in, and remembers where it is when that takes long to find out.
    private func part(of body: WireReader, around target: Int, isKeyed: Bool) throws -> WirePart? {
        guard body.offset <= target, target < body.end else { return nil }
        if places[body.offset] == nil, let found = try WirePlaces.part(around: target, from: body, isKeyed) {
            return found
        }
        return try places[body.offset, default: WirePlaces(body)].part(around: target, in: body, isKeyed: isKeyed)
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
