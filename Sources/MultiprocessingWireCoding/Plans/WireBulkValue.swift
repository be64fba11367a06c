// SPDX-License-Identifier: Apache-2.0

/// A type of another module that is carried as a run of bytes, such as Foundation's `Data`.
///
/// The bytes travel like an array of `UInt8`. A value may decline (return false), and is then carried by its own Codable; whatever is not
/// a run of bytes in a message is read by the type's own Codable, too.
package protocol WireBulkValue: Codable, WireSpecialized {
    /// Writes the value by one call of `write`, and returns true; or writes nothing, and returns false.
    func writeWireBytes(_ write: (UnsafeRawBufferPointer) -> Void) -> Bool

    /// Makes the value from its bytes, or returns nil where they are none of this type's.
    init?(wireBytes: UnsafeRawBufferPointer)
}

extension WireBulkValue {
    /// Makes the plan for this type.
    static func makeBulkPlan() -> AnyPlan { BulkPlan<Self>() }
}

/// The plan for a value that is carried as a run of bytes.
final class BulkPlan<Value: WireBulkValue>: WirePlan<Value> {
    /// Creates the plan. It is no leaf, since a value may decline.
    init() { super.init(isLeaf: false) }

    override func encode(_ value: Value, to state: EncodingState) throws {
        let isWritten = value.writeWireBytes { bytes in
            state.writer.writePacked(.uint8, bytes, elementSize: 1)
        }
        if !isWritten { try state.encodeByItself(value) }
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> Value {
        var inner = try reader.unwrapped()
        guard try inner.peekTag() == WireTag.packed else { return try state.decodeByItself(Value.self, from: &reader) }
        let start = inner.offset
        let head = try inner.readPacked()
        guard head.kind == .uint8 else { return try state.decodeByItself(Value.self, from: &reader) }
        guard let value = Value(wireBytes: head.bytes) else {
            throw WireMismatch(expected: Value.self, offset: start, kind: .doesNotFit)
        }
        try reader.finish(inner)
        return value
    }
}
