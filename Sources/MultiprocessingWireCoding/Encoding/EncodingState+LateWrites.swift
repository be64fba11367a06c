// SPDX-License-Identifier: Apache-2.0
//
// Writing to a container that is not the innermost open one. Open ones further out become the innermost again. A closed one gets a buffer of its own for what is written to it late:
//
//   message          [ a: entry entry ][ b: entry entry …     ^ written to in order
//   buffer 1, of a   entry entry entry …                      ^ written to late
//
// The buffer takes the message's place as `writer` during the write, so that all that is written, values with containers and late writes of their own included, lands there. Nothing that was
// written moves before the value is complete: then all buffers are put where they belong at once (see EncodingState+Assembly), in linear time however often the containers took turns.

/// How a container was opened for a write.
struct EncodingPlace {
    /// The number of the buffer that was written to before a late write; -1 for one in order.
    let outerBuffer: Int32
    /// The innermost open record before a late write.
    let outerTop: Int
}

extension EncodingState {
    /// Makes the record at `reference` the innermost open one. Every `open` has its `finish`, or its `abandon`.
    @inline(__always)
    func open(_ reference: EncodingReference) throws -> EncodingPlace {
        let index = Int(reference.index)
        if index == top, records[index].serial == reference.serial {
            return EncodingPlace(outerBuffer: -1, outerTop: index)
        }
        return try openSlowly(reference)
    }

    /// Ends a write to the record at `reference`.
    @inline(__always)
    func finish(_ place: EncodingPlace, _ reference: EncodingReference) {
        if place.outerBuffer >= 0 { finishLate(place, Int(reference.index)) }
    }

    /// Undoes a write that began at `start`: user code that goes on after an error finds its container as it was.
    @inline(never)
    func abandon(_ place: EncodingPlace, from start: Int) {
        writer.truncate(to: start)
        leave(place)
    }

    /// Goes back to where was written before a write in which nothing was written.
    func leave(_ place: EncodingPlace) {
        guard place.outerBuffer >= 0 else { return }
        use(place.outerBuffer)
        top = place.outerTop
    }

    /// Opens a record that is not at the top.
    @inline(never)
    private func openSlowly(_ reference: EncodingReference) throws -> EncodingPlace {
        if let failure { throw failure }
        let index = Int(reference.index)
        guard records.indices.contains(index), records[index].serial == reference.serial else {
            throw WireCodingError(.invalidUse, "a container is written to after its value was encoded")
        }
        guard index >= scope else {
            throw invalidUse("a container is written to while a value inside it is being encoded", reference)
        }

        guard records[index].end >= 0 else {
            closeAll(downTo: index)
            return EncodingPlace(outerBuffer: -1, outerTop: index)
        }
        return openLate(index)
    }

    /// Opens a closed record.
    private func openLate(_ index: Int) -> EncodingPlace {
        let place = EncodingPlace(outerBuffer: buffer, outerTop: top)
        // A value of which nothing is written yet begins late: as a part of the box that it is all of.
        let isWhole = records[index].form == .nothing && records[index].parent >= 0
        let owner = isWhole ? Int(records[index].parent) : index
        if records[owner].late < 0 { records[owner].late = needExtras().addBuffer(for: owner) }
        use(records[owner].late)

        if isWhole {
            records[index].home = buffer
            records[index].start = writer.count
            records[index].end = writer.count
        }
        top = index
        return place
    }

    /// Ends a late write to the record at `index`.
    @inline(never)
    private func finishLate(_ place: EncodingPlace, _ index: Int) {
        // A container that was begun late is closed with the write.
        closeAll(downTo: index)
        if records[index].home == buffer { close(index) }
        leave(place)
    }

    // MARK: - Buffers

    /// Returns the extras, which are made when they are needed first.
    func needExtras() -> EncodingExtras {
        if let extras { return extras }
        let made = EncodingExtras()
        extras = made
        return made
    }

    /// Makes the buffer of the given number the one that is written to.
    private func use(_ next: Int32) {
        guard next != buffer, let extras else { return }
        swap(&extras.buffers[Int(buffer)].writer, &writer)
        swap(&extras.buffers[Int(next)].writer, &writer)
        buffer = next
    }

    /// Calls `body` with the bytes of the buffer of the given number.
    @inline(__always)
    func withBytes<Result>(of number: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        guard number != buffer, let extras else { return writer.withUnsafeBytes(body) }
        return extras.buffers[Int(number)].writer.withUnsafeBytes(body)
    }

    /// Replaces what is written in the buffer of the given number.
    @inline(__always)
    func overwrite(_ value: UInt8, at place: EntryPlace) {
        guard place.buffer != buffer, let extras else { return writer.overwrite(value, at: place.offset) }
        extras.buffers[Int(place.buffer)].writer.overwrite(value, at: place.offset)
    }
}
