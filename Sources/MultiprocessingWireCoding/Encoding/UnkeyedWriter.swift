// SPDX-License-Identifier: Apache-2.0

/// An unkeyed container under way.
struct UnkeyedWriter: UnkeyedEncodingContainer {
    /// What is under way.
    let state: EncodingState
    /// The record of the container.
    let reference: EncodingReference

    var codingPath: [any CodingKey] { state.path(to: reference) }

    var count: Int {
        let index = Int(reference.index)
        guard state.records.indices.contains(index), state.records[index].serial == reference.serial else { return 0 }
        return state.records[index].count
    }

    // MARK: - Elements

    /// Writes an element by calling `write`.
    @inline(__always)
    private func element(_ write: (EncodingState) throws -> Void) throws {
        let place = try state.open(reference)
        let start = state.writer.count
        state.entry = state.records[Int(reference.index)].count

        do {
            try write(state)
        } catch {
            state.abandon(place, from: start)
            throw error
        }
        state.records[Int(reference.index)].count &+= 1
        state.finish(place, reference)
    }

    /// Writes an element that the format knows.
    @inline(__always)
    private func leaf<Value: WireLeaf>(_ value: Value) throws {
        try element { value.write(into: &$0.writer) }
    }

    /// Writes elements that the format knows.
    @inline(__always)
    private func leaves<Values: Sequence>(_ values: Values) throws where Values.Element: WireLeaf {
        for value in values { try leaf(value) }
    }

    func encodeNil() throws { try element { $0.writer.writeTag(WireTag.null) } }
    func encode<T: Encodable>(_ value: T) throws { try element { try $0.encode(value) } }

    // MARK: - Nested containers

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        let nested = state.beginNested(.keyed, in: reference)
        return KeyedEncodingContainer(KeyedWriter<NestedKey>(state: state, reference: nested))
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        UnkeyedWriter(state: state, reference: state.beginNested(.list, in: reference))
    }

    func superEncoder() -> any Encoder { state.beginSuper(in: reference) }
}

// MARK: - Values that the format knows

extension UnkeyedWriter {
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

    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Bool { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == String { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Double { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Float { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int8 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int16 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int32 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int64 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == Int128 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt8 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt16 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt32 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt64 { try leaves(sequence) }
    func encode<T: Sequence>(contentsOf sequence: T) throws where T.Element == UInt128 { try leaves(sequence) }
}

extension EncodingState {
    /// Begins a container in the unkeyed container at `parent`.
    func beginNested(_ form: EncodingRecord.Form, in parent: EncodingReference) -> EncodingReference {
        do {
            let place = try open(parent)
            defer { finish(place, parent) }
            let nested = beginElement(of: parent) { push(form, start: writer.count) }
            if let tag = form.tag { _ = writer.beginContainer(tag) }
            return nested
        } catch {
            fail(error)
            return .none
        }
    }

    /// Begins a box in the unkeyed container at `parent`, and returns the encoder of what is in it.
    func beginSuper(in parent: EncodingReference) -> WireEncoder {
        do {
            let place = try open(parent)
            defer { finish(place, parent) }
            return beginElement(of: parent) { beginBox() }
        } catch {
            fail(error)
            return WireEncoder(state: self, reference: .none)
        }
    }

    /// Counts an element that `begin` begins.
    private func beginElement<Result>(of parent: EncodingReference, _ begin: () -> Result) -> Result {
        entry = records[Int(parent.index)].count
        records[Int(parent.index)].count &+= 1
        return begin()
    }
}
