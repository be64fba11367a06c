// SPDX-License-Identifier: Apache-2.0
//
// Putting what was written late where it belongs, once a value is complete. The bytes of a container's buffer go to the container's end; in them may be containers that have buffers again. All of it is
// copied once: linear in the bytes of the value from the first such place on.

extension EncodingState {
    /// Bytes that belong at a place in another buffer.
    private struct Piece {
        /// Where the bytes belong.
        let offset: Int
        /// The index of the record they continue.
        let owner: Int
        /// The buffer they are in.
        let buffer: Int32
    }

    /// How far a buffer has been copied.
    private struct Cursor {
        let buffer: Int32
        var offset: Int
        var nextPiece = 0
    }

    /// Moves all that was written late to the value whose record is at `scope` into the value.
    @inline(never)
    func assemble(from scope: Int, _ extras: EncodingExtras) {
        guard let last = extras.buffers.last, Int(last.owner) >= scope else { return }
        var pieces = fillGrown(from: scope, extras)
        for buffer in pieces.keys {
            // Of containers that end at one place, one inside the other, the inner one's bytes come first.
            pieces[buffer]?.sort { $0.offset == $1.offset ? $0.owner > $1.owner : $0.offset < $1.offset }
        }
        guard let first = pieces[buffer]?.first else { return }

        var tail = WireWriter()
        copy(from: first.offset, pieces, into: &tail)
        writer.truncate(to: first.offset)
        tail.withUnsafeBytes { writer.writeBytes($0) }
    }

    /// Writes into the heads of the containers of a value how long they will be, and returns what belongs into each buffer.
    private func fillGrown(from scope: Int, _ extras: EncodingExtras) -> [Int32: [Piece]] {
        var pieces: [Int32: [Piece]] = [:]
        var growth = [Int](repeating: 0, count: records.count - scope)

        // From the inside out: a record lies behind that of the container it is in.
        for index in (scope..<records.count).reversed() {
            let record = records[index]
            var grown = growth[index - scope]
            if record.late >= 0, extras.buffers[Int(record.late)].writer.count > 0 {
                grown += extras.buffers[Int(record.late)].writer.count
                pieces[record.home, default: []].append(Piece(offset: record.end, owner: index, buffer: record.late))
            }
            guard grown > 0 else { continue }
            if index > scope { growth[Int(record.parent) - scope] += grown }
            fill(index, grownBy: grown)
        }
        return pieces
    }

    /// Writes the final length of a container into its head.
    private func fill(_ index: Int, grownBy growth: Int) {
        let record = records[index]
        guard let tag = record.form.tag else { return }
        let end = record.end + growth
        if record.home == buffer {
            writer.fillContainer(tag, at: record.start, to: end, elements: record.count)
        } else {
            extras?.buffers[Int(record.home)].writer
                .fillContainer(tag, at: record.start, to: end, elements: record.count)
        }
    }

    /// Copies the bytes that are written to from `start` on, and in between them those that belong there. Iterative, since containers may be nested deeply.
    private func copy(from start: Int, _ pieces: [Int32: [Piece]], into target: inout WireWriter) {
        var cursors = [Cursor(buffer: buffer, offset: start)]
        while var cursor = cursors.popLast() {
            let own = pieces[cursor.buffer] ?? []
            let piece = cursor.nextPiece < own.count ? own[cursor.nextPiece] : nil
            withBytes(of: cursor.buffer) { bytes in
                let end = piece?.offset ?? bytes.count
                target.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[cursor.offset..<end]))
            }
            guard let piece else { continue }
            cursor.offset = piece.offset
            cursor.nextPiece += 1
            cursors.append(cursor)
            cursors.append(Cursor(buffer: piece.buffer, offset: 0))
        }
    }
}
