// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries of strings to values that the format knows: the same bytes as DictionaryPlan's, by code that is compiled for the type of the values.

/// Makes the plan for a dictionary of a type that the format knows.
func leafDictionaryPlan<Value: WireLeaf>(_ type: Value.Type) -> AnyPlan {
    LeafDictionaryPlan<Value>()
}

/// The plan for a dictionary of strings to values that the format knows.
final class LeafDictionaryPlan<Value: WireLeaf>: WirePlan<[String: Value]> {
    /// Creates the plan.
    init() { super.init(isLeaf: true) }

    override func encode(_ value: [String: Value], into writer: inout WireWriter) {
        Value.writeDictionary(value, into: &writer)
    }

    override func decode(from reader: inout WireReader) throws -> [String: Value] {
        try Value.readDictionary(from: &reader)
    }
}

extension WireLeaf {
    @inline(__always)
    static func writeDictionary(_ dictionary: [String: Self], into writer: inout WireWriter) {
        let start = writer.beginContainer(WireTag.keyed)
        for (key, value) in dictionary {
            writer.writeKey(key)
            value.write(into: &writer)
        }
        writer.fillContainer(WireTag.keyed, at: start, to: writer.count, elements: dictionary.count)
    }

    @inline(__always)
    static func readDictionary(from reader: inout WireReader) throws -> [String: Self] {
        var inner = try reader.unwrapped()
        var result: [String: Self] = [:]

        switch try inner.peekTag() {
        case WireTag.keyed:
            var body = try inner.readContainer()
            result.reserveCapacity(try body.countEntries())
            while !body.isAtEnd {
                let start = body.offset
                let entry = try body.readEntryKey()
                guard !entry.isHidden else {
                    try body.skipValue()
                    continue
                }
                guard let key = entry.string else {
                    throw WireCodingError(.invalidValue, "a key is not UTF-8", at: start)
                }
                result[key] = try read(from: &body)
            }
        case WireTag.empty:
            inner.offset &+= 1
        default:
            throw reader.mismatch([String: Self].self, at: reader.offset)
        }

        try reader.finish(inner)
        return result
    }
}
