// SPDX-License-Identifier: Apache-2.0

/// The encoder that a value's `encode(to:)` gets, and its own single-value container. Small enough to need no memory of its own.
struct WireEncoder: Encoder {
    /// What is under way.
    let state: EncodingState
    /// The record of the value.
    let reference: EncodingReference

    var codingPath: [any CodingKey] { state.path(to: reference) }
    var userInfo: [CodingUserInfoKey: Any] { state.userInfo }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        let container = state.begin(.keyed, for: reference)
        return KeyedEncodingContainer(KeyedWriter<Key>(state: state, reference: container))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        UnkeyedWriter(state: state, reference: state.begin(.list, for: reference))
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension EncodingState {
    /// Makes the value at `reference` a container, or returns the container that it is already.
    func begin(_ form: EncodingRecord.Form, for reference: EncodingReference) -> EncodingReference {
        do {
            let index = Int(reference.index)
            if records.indices.contains(index), records[index].serial == reference.serial, records[index].form == form {
                return reference
            }
            let place = try open(reference)
            guard records[index].form == .nothing, let tag = form.tag else {
                leave(place)
                throw invalidUse(
                    "a value asks for two containers of different kinds, or for one after writing itself",
                    reference
                )
            }
            records[index].form = form
            _ = writer.beginContainer(tag)
            finish(place, reference)
            return reference
        } catch {
            fail(error)
            return .none
        }
    }

    /// Writes a box inside the container at the top, and returns the encoder of the value inside it.
    func beginBox() -> WireEncoder {
        _ = push(.box, start: writer.count)
        _ = writer.beginContainer(WireTag.box)
        return WireEncoder(state: self, reference: push(.nothing, start: writer.count))
    }
}

// MARK: - Single values

extension WireEncoder: SingleValueEncodingContainer {
    /// Writes the whole value by one call of `write`.
    @inline(__always)
    private func single(_ write: (EncodingState) throws -> Void) throws {
        let place = try state.open(reference)
        let index = Int(reference.index)
        guard state.records[index].form == .nothing else {
            state.leave(place)
            throw state.invalidUse("a value writes itself twice", reference)
        }

        let start = state.writer.count
        do {
            try write(state)
        } catch {
            state.abandon(place, from: start)
            throw error
        }
        state.records[index].form = .single
        state.finish(place, reference)
    }

    /// Writes a value that the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>(_ value: Value) throws {
        try single { value.write(into: &$0.writer) }
    }

    func encodeNil() throws { try single { $0.writer.writeTag(WireTag.null) } }
    func encode(_ value: Bool) throws { try leaf(value) }
    func encode(_ value: String) throws { try leaf(value) }
    func encode(_ value: Double) throws { try leaf(value) }
    func encode(_ value: Float) throws { try leaf(value) }
    func encode(_ value: Int) throws { try leaf(value) }
    func encode(_ value: Int8) throws { try leaf(value) }
    func encode(_ value: Int16) throws { try leaf(value) }
    func encode(_ value: Int32) throws { try leaf(value) }
    func encode(_ value: Int64) throws { try leaf(value) }
    func encode(_ value: Int128) throws { try leaf(value) }
    func encode(_ value: UInt) throws { try leaf(value) }
    func encode(_ value: UInt8) throws { try leaf(value) }
    func encode(_ value: UInt16) throws { try leaf(value) }
    func encode(_ value: UInt32) throws { try leaf(value) }
    func encode(_ value: UInt64) throws { try leaf(value) }
    func encode(_ value: UInt128) throws { try leaf(value) }
    func encode<T: Encodable>(_ value: T) throws { try single { try $0.encode(value) } }
}
