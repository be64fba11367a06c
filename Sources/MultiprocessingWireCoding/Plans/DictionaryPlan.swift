// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries with string or integer keys, which are keyed containers to every coder. Others are lists of keys and values in turn, and are left to the standard
// library's own Codable.

extension Dictionary: WireSpecialized where Key: Codable, Value: Codable {}

extension Dictionary: WirePlanned where Key: Codable, Value: Codable {
    static func makePlan() -> AnyPlan? {
        if Key.self == String.self {
            if let leaf = Value.self as? any WireLeaf.Type { return leafDictionaryPlan(leaf) }
            return DictionaryPlan<String, Value>(text: { $0 }, key: { $0 })
        }
        if Key.self == Int.self {
            return DictionaryPlan<Int, Value>(text: { String($0) }, key: { Int($0) })
        }
        return nil
    }
}

/// The plan for a dictionary whose keys are the keys of a container.
final class DictionaryPlan<Key: Hashable, Value: Codable>: WirePlan<[Key: Value]> {
    /// The plan for a value; nil when values have a Codable of their own.
    private let value: WirePlan<Value>?
    /// Makes the text of a key.
    private let text: (Key) -> String
    /// Makes a key from its text.
    private let key: (String) -> Key?

    /// Creates the plan with the conversions of its keys.
    init(text: @escaping (Key) -> String, key: @escaping (String) -> Key?) {
        self.text = text
        self.key = key
        value = PlanTable.plan(for: Value.self)?.kept(for: Value.self)
        super.init(isLeaf: value?.isLeaf ?? false)
    }

    override func encode(_ dictionary: [Key: Value], into writer: inout WireWriter) {
        guard let value else { preconditionFailure("a leaf's values have a plan") }
        let start = writer.beginContainer(WireTag.keyed)
        for entry in dictionary {
            writer.writeKey(text(entry.key))
            value.encode(entry.value, into: &writer)
        }
        writer.fillContainer(WireTag.keyed, at: start, to: writer.count, elements: dictionary.count)
    }

    override func encode(_ dictionary: [Key: Value], to state: EncodingState) throws {
        guard !isLeaf else { return encode(dictionary, into: &state.writer) }
        let container = try state.beginPlanned(WireTag.keyed)
        try state.fillPlanned(container) {
            for entry in dictionary {
                state.entry = state.writer.count
                state.writer.writeKey(text(entry.key))
                if let value {
                    try value.encode(entry.value, to: state)
                } else {
                    try state.encodeByItself(entry.value)
                }
            }
        }
    }

    override func decode(from reader: inout WireReader) throws -> [Key: Value] {
        guard let value else { preconditionFailure("a leaf's values have a plan") }
        return try decode(from: &reader) { body, _ in try value.decode(from: &body) }
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> [Key: Value] {
        if isLeaf {
            var attempt = reader
            if let dictionary = try? decode(from: &attempt) {
                reader = attempt
                return dictionary
            }
            // Once more, entry by entry: to read what was written in another form, or to say where the mistake is.
        }

        let start = reader.offset
        return try decode(from: &reader) { body, entry in
            try state.within(.entry(entry), of: start, &body) { body in
                if let value { return try value.decode(from: &body, state: state) }
                return try state.decodeByItself(Value.self, from: &body)
            }
        }
    }

    /// Reads a dictionary by reading each value with `read`, which is given where the entry begins.
    @inline(__always)
    private func decode(
        from reader: inout WireReader,
        _ read: (inout WireReader, Int) throws -> Value
    ) throws -> [Key: Value] {
        var inner = try reader.unwrapped()
        var result: [Key: Value] = [:]

        switch try inner.peekTag() {
        case WireTag.keyed:
            var body = try inner.readContainer()
            result.reserveCapacity(try body.countEntries())

            while !body.isAtEnd {
                let start = body.offset
                let entry = try body.readEntryKey()
                if entry.isHidden {
                    try body.skipValue()
                } else {
                    let key = try readKey(entry, at: start)
                    result[key] = try read(&body, start)
                }
            }
        case WireTag.empty:
            inner.offset &+= 1
        default:
            throw reader.mismatch([Key: Value].self, at: reader.offset)
        }

        try reader.finish(inner)
        return result
    }

    /// Makes the key of an entry.
    private func readKey(_ entry: EntryKey, at offset: Int) throws -> Key {
        guard let text = entry.string else {
            throw WireCodingError(.invalidValue, "a key is not UTF-8", at: offset)
        }
        guard let key = key(text) else {
            throw WireMismatch(expected: Key.self, offset: offset, kind: .doesNotFit)
        }
        return key
    }
}
