// SPDX-License-Identifier: Apache-2.0
//
// Writing to a container that is not the innermost open one. Open ones further out become the innermost again. Closed ones get their bytes late: these are written at the end of the message
// like all others, and moved to the container's end when they are complete; everything in between moves back. Linear in what moves, which is as good as it gets with
// one buffer, and rare: user code has to interleave two containers on purpose.

/// How a container was opened for a write.
struct EncodingPlace {
    /// Where the bytes of a late write begin; -1 for one in order.
    let lateStart: Int
    /// The innermost open record before a late write.
    let outerTop: Int
}

extension EncodingState {
    /// Makes the record at `reference` the innermost open one. Every `open` has its `finish`, or its `abandon`.
    @inline(__always)
    func open(_ reference: EncodingReference) throws -> EncodingPlace {
        let index = Int(reference.index)
        if index == top, records[index].serial == reference.serial {
            return EncodingPlace(lateStart: -1, outerTop: index)
        }
        return try openSlowly(reference)
    }

    /// Ends a write to the record at `reference`.
    @inline(__always)
    func finish(_ place: EncodingPlace, _ reference: EncodingReference) {
        if place.lateStart >= 0 { moveLateBytes(place, Int(reference.index)) }
    }

    /// Undoes a write, which began at `start`, to the record at `reference`: user code that goes on after an error finds its container as it was.
    @inline(never)
    func abandon(_ place: EncodingPlace, _ reference: EncodingReference, from start: Int) {
        writer.truncate(to: start)
        if place.lateStart >= 0 { top = place.outerTop }
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
            return EncodingPlace(lateStart: -1, outerTop: index)
        }
        let place = EncodingPlace(lateStart: writer.count, outerTop: top)
        top = index
        return place
    }

    /// Moves the bytes of a late write to the end of the closed record at `index`, and adjusts what is known about where everything is.
    @inline(never)
    private func moveLateBytes(_ place: EncodingPlace, _ index: Int) {
        let target = records[index].end
        let source = place.lateStart
        let length = writer.count - source
        writer.moveTail(from: source, to: target)

        guard length > 0 else {
            top = place.outerTop
            return
        }

        let relations = relations(to: index, lateStart: source)
        // What was written late moved forwards, what was behind the container moved backwards.
        func moved(_ offset: Int) -> Int {
            if offset >= source { return offset - (source - target) }
            return offset >= target ? offset + length : offset
        }

        for (position, relation) in zip(records.indices, relations) {
            switch relation {
            case .around:
                // Not one whose own late bytes still lie behind, at the tail: the place where they go is before `target`.
                if records[position].end >= target { records[position].end += length }
                continue
            case .late:
                // A container that was begun late is closed with the write.
                records[position].start = moved(records[position].start)
                records[position].end = target + length
            case .elsewhere where records[position].start >= target:
                records[position].start = moved(records[position].start)
                if records[position].end >= 0 { records[position].end += length }
            case .elsewhere, .inside:
                continue
            }
            let parent = Int(records[position].parent)
            if parent >= 0, records[parent].form == .keyed {
                records[position].entry = moved(records[position].entry)
            }
        }

        top = place.outerTop
        for position in records.indices where records[position].end >= 0 { fill(position) }
    }
    /// How a record lies to the one written to late.
    private enum Relation {
        case around
        case inside
        case late
        case elsewhere
    }

    /// Returns how each record lies to the one at `index`, to which what begins at `lateStart` was written late.
    private func relations(to index: Int, lateStart: Int) -> [Relation] {
        var relations: [Relation] = []

        for (position, record) in zip(records.indices, records) {
            let parent = Int(record.parent)
            if record.start >= lateStart, position > index {
                relations.append(.late)
            } else if parent == index || (parent > index && relations[parent] == .inside) {
                relations.append(.inside)
            } else {
                relations.append(.elsewhere)
            }
        }

        var ancestor = index
        while ancestor >= 0 {
            relations[ancestor] = .around
            ancestor = Int(records[ancestor].parent)
        }
        return relations
    }
}
