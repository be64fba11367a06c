// SPDX-License-Identifier: Apache-2.0
//
// The encoder proper. The encoders and containers that user code sees are references to records in this object's stack:
//
//   records   [ value | its container | nested container | …inner value | its container | … ]
//                                                          ^ scope
//   bytes     [ head entry entry [ head entry ] …           ^ written at the end, always
//
// A chain of open records leads from `top` to the outermost value. Writing to the container at the top is the fast path: the bytes go to the end of the message. Writing to one further down
// closes those above it. Writing to a closed one is possible as well: the bytes then go to a buffer of its own, see EncodingState+LateWrites.

/// What is under way while one value and everything in it are encoded. Not `Sendable`: used by one thread.
final class EncodingState {
    // Exclusive by design: every access is a leaf that calls no user code, so that the runtime's check would only cost time.
    /// Where bytes are written: the message, or a buffer of late ones.
    @exclusivity(unchecked) var writer: WireWriter
    /// The values under way and their containers.
    @exclusivity(unchecked) var records: ContiguousArray<EncodingRecord> = []
    /// The index of the innermost open record.
    @exclusivity(unchecked) var top = -1
    /// The index of the first record that belongs to the innermost value under way. User code may use those from here on only.
    @exclusivity(unchecked) var scope = 0
    /// Where in its container the entry or element being written is: what a record made now has as `entry`.
    @exclusivity(unchecked) var entry = 0
    /// Counts the records ever made.
    @exclusivity(unchecked) var serial: UInt32 = 0
    /// Keeps recursion in bounds.
    @exclusivity(unchecked) var stack = StackGuard()
    /// The number of the buffer that `writer` is; 0 is the message.
    @exclusivity(unchecked) var buffer: Int32 = 0
    /// What few values need; nil until one does.
    @exclusivity(unchecked) var extras: EncodingExtras?
    /// The first mistake in a call that cannot throw.
    var failure: (any Error)?

    /// What the caller passes through to user code.
    let userInfo: [CodingUserInfoKey: Any]

    /// Creates the state that writes to the end of `writer`.
    init(writer: consuming WireWriter, userInfo: [CodingUserInfoKey: Any]) {
        self.writer = writer
        self.userInfo = userInfo
        records.reserveCapacity(16)
    }

    // MARK: - Values

    /// Writes a value by its plan, or by its own Codable when it has none.
    @inline(__always)
    func encode<Value: Encodable>(_ value: Value) throws {
        if let plan = PlanTable.plan(for: Value.self) {
            try plan.with(Value.self) { try $0.encode(value, to: self) }
        } else {
            try encodeByItself(value)
        }
    }

    /// Writes a value by its own Codable.
    func encodeByItself<Value: Encodable>(_ value: Value) throws {
        try stack.enter()
        let outerScope = scope
        let outerTop = top
        let reference = push(.nothing, start: writer.count)
        scope = Int(reference.index)

        defer {
            stack.leave()
            extras?.forget(from: reference.index)
            records.removeLast(records.count - Int(reference.index))
            scope = outerScope
            top = outerTop
        }
        try value.encode(to: WireEncoder(state: self, reference: reference))
        complete(reference)
    }

    /// Closes what the value at `reference` has left open.
    @inline(__always)
    private func complete(_ reference: EncodingReference) {
        let index = Int(reference.index)
        closeAll(downTo: index)
        if records[index].form == .nothing {
            writer.writeTag(WireTag.empty)
        } else {
            close(index)
        }
        if let extras { assemble(from: index, extras) }
    }

    // MARK: - Records

    /// Makes a record inside the one at the top, and makes it the top.
    @inline(__always)
    func push(_ form: EncodingRecord.Form, start: Int) -> EncodingReference {
        serial &+= 1
        let parent = Int32(truncatingIfNeeded: top)
        top = records.count
        records.append(
            EncodingRecord(serial: serial, parent: parent, form: form, home: buffer, start: start, entry: entry)
        )
        return EncodingReference(index: Int32(truncatingIfNeeded: top), serial: serial)
    }

    /// Closes the open records above the one at `index`, which becomes the top.
    @inline(__always)
    func closeAll(downTo index: Int) {
        while top > index {
            close(top)
            top = Int(records[top].parent)
        }
    }

    /// Closes an open record: its length is known now.
    @inline(__always)
    func close(_ index: Int) {
        records[index].end = writer.count
        fill(index)
    }

    /// Writes the length of a closed container into its head.
    @inline(__always)
    func fill(_ index: Int) {
        let record = records[index]
        guard let tag = record.form.tag else { return }
        writer.fillContainer(tag, at: record.start, to: record.end, elements: record.count)
    }

    // MARK: - Containers of plans

    /// Begins a container that a plan writes, and whose end the plan knows.
    func beginPlanned(_ tag: UInt8) throws -> EncodingReference {
        try stack.enter()
        let reference = push(tag == WireTag.list ? .list : .keyed, start: writer.count)
        _ = writer.beginContainer(tag)
        entry = 0
        return reference
    }

    /// Counts an element of a list that a plan writes.
    @inline(__always)
    func countElement(of list: EncodingReference) {
        records[Int(list.index)].count &+= 1
        entry = records[Int(list.index)].count
    }

    /// Ends a container that a plan wrote.
    func endPlanned(_ container: EncodingReference) {
        let index = Int(container.index)
        close(index)
        top = Int(records[index].parent)
        records.removeLast(records.count - index)
        stack.leave()
    }

    /// Writes the content of a planned container, and ends it. When that throws the container is forgotten, so that whoever catches the error can go on; the bytes are taken back where the write began.
    @inline(__always)
    func fillPlanned(_ container: EncodingReference, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            let index = Int(container.index)
            top = Int(records[index].parent)
            records.removeLast(records.count - index)
            stack.leave()
            throw error
        }
        endPlanned(container)
    }

    // MARK: - Mistakes

    /// Remembers a mistake made in a call that cannot throw, to be thrown by the next that can.
    func fail(_ error: any Error) {
        if failure == nil { failure = error }
    }

    /// Makes the error of a container used when it may not be.
    @inline(never)
    func invalidUse(_ reason: String, _ reference: EncodingReference) -> any Error {
        WireCodingError(.invalidUse, reason, path: WireKey.text(path(to: reference)))
    }
}
