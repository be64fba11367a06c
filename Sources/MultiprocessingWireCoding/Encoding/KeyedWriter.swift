// SPDX-License-Identifier: Apache-2.0

/// A keyed container under way.
struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    /// What is under way.
    let state: EncodingState
    /// The record of the container.
    let reference: EncodingReference

    var codingPath: [any CodingKey] { state.path(to: reference) }

    // MARK: - Entries

    /// Writes an entry, whose value `write` writes.
    @inline(__always)
    private func entry(_ key: Key, _ write: (EncodingState) throws -> Void) throws {
        // Before the container is opened, since it is user code.
        let name = key.stringValue
        let place = try state.open(reference)
        let earlier = state.beginEntry(name)
        let start = state.entry

        do {
            try write(state)
        } catch {
            state.abandonEntry(name, earlier, in: reference)
            state.abandon(place, from: start)
            throw error
        }
        // Not before, since the earlier value is what there is when this one fails.
        if let earlier { state.hide(earlier) }
        state.finish(place, reference)
    }

    /// Writes an entry whose value the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>(_ value: Value, _ key: Key) throws {
        // Before the container is opened, since it is user code.
        let name = key.stringValue
        let place = try state.open(reference)
        state.replaceEntry(name)
        value.write(into: &state.writer)
        state.finish(place, reference)
    }

    /// Writes an entry whose value the format knows, or that there is none.
    @inline(__always)
    private func leafIfPresent<Value: WireLeaf>(_ value: Value?, _ key: Key) throws {
        guard let value else { return try absent(key) }
        try leaf(value, key)
    }

    /// Writes that there is no value.
    private func absent(_ key: Key) throws {
        let name = key.stringValue
        let place = try state.open(reference)
        state.writeAbsent(name)
        state.finish(place, reference)
    }

    // MARK: - Values of any type

    func encodeNil(forKey key: Key) throws {
        try entry(key) { $0.writer.writeTag(WireTag.null) }
    }

    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try entry(key) { try $0.encode(value) }
    }

    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws {
        guard let value else { return try absent(key) }
        // An optional that is there and nil is not the same as one that is not there.
        if PlanTable.plan(for: T.self)?.isOptional ?? false {
            try entry(key) { try $0.encode(Optional(value)) }
        } else {
            try encode(value, forKey: key)
        }
    }

    // MARK: - Nested containers

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        let nested = state.beginNested(.keyed, key.stringValue, in: reference)
        return KeyedEncodingContainer(KeyedWriter<NestedKey>(state: state, reference: nested))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        UnkeyedWriter(state: state, reference: state.beginNested(.list, key.stringValue, in: reference))
    }

    func superEncoder() -> any Encoder {
        state.beginSuper(WireKey.superKey.stringValue, in: reference)
    }

    func superEncoder(forKey key: Key) -> any Encoder {
        state.beginSuper(key.stringValue, in: reference)
    }
}

// MARK: - Values that the format knows

extension KeyedWriter {
    func encode(_ value: Bool, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: String, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Double, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Float, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int8, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int16, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int32, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int64, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: Int128, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt8, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt16, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt32, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt64, forKey key: Key) throws { try leaf(value, key) }
    func encode(_ value: UInt128, forKey key: Key) throws { try leaf(value, key) }

    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: Int128?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try leafIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt128?, forKey key: Key) throws { try leafIfPresent(value, key) }
}

extension EncodingState {
    /// Begins a container for a key in the keyed container at `parent`, or returns the one begun earlier for that key.
    func beginNested(_ form: EncodingRecord.Form, _ name: String, in parent: EncodingReference) -> EncodingReference {
        do {
            let place = try open(parent)
            defer { finish(place, parent) }
            if let known = beginNestedEntry(name, form) { return known }
            let nested = push(form, start: writer.count)
            if let tag = form.tag { _ = writer.beginContainer(tag) }
            return nested
        } catch {
            fail(error)
            return .none
        }
    }

    /// Begins a box for a key in the keyed container at `parent`, and returns the encoder of what is in it.
    func beginSuper(_ name: String, in parent: EncodingReference) -> WireEncoder {
        do {
            let place = try open(parent)
            defer { finish(place, parent) }
            replaceEntry(name)
            return beginBox()
        } catch {
            fail(error)
            return WireEncoder(state: self, reference: .none)
        }
    }
}
