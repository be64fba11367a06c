// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The encoded arguments of a job's pieces, in blocks of pieces that were encoded together.
///
/// `@unchecked Sendable` is safe because it is changed and read under the pool's lock only. For the same reason no access needs to be checked against others, which would cost as much as the copy.
final class TaskInput: @unchecked Sendable {
    /// Pieces that were encoded together. Not changed once it is part of an input.
    final class Block {
        /// The bytes of the pieces, one behind the other.
        @exclusivity(unchecked) var writer = WireWriter()
        /// How many pieces there are.
        @exclusivity(unchecked) private(set) var count = 0
        /// The descriptors of handles in the pieces.
        @exclusivity(unchecked) private(set) var descriptors: [Int32] = []
        /// Where each piece ends; not filled as long as there is one piece.
        @exclusivity(unchecked) private var ends: [Int] = []
        /// The values of the pieces, where nothing is encoded.
        private(set) var values: [any Sendable] = []
        /// What keeps the descriptors open.
        private var carried: CarriedDescriptors?
        /// The memory the bytes are in, where an engine has lent it.
        let loan: (any LentMemory)?

        /// Creates a block without pieces.
        init() {
            loan = nil
        }

        /// Creates a block of one piece, which is all that `writer` has, and takes its memory.
        init(taking writer: inout WireWriter, _ carried: CarriedDescriptors?, _ loan: (any LentMemory)? = nil) {
            self.loan = loan
            swap(&self.writer, &writer)
            count = 1
            self.carried = carried
            descriptors = carried?.numbers ?? []
        }

        /// Whether there are handles in the pieces.
        var carriesDescriptors: Bool { !descriptors.isEmpty }

        /// Encodes one more piece.
        ///
        /// - Parameter isPrefixed: Whether its length goes before it.
        func append(isPrefixed: Bool, _ encode: (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void) throws {
            let start = writer.count
            do {
                if isPrefixed { writer.write(UInt64(0)) }
                try EncodingContext.with { context in
                    try encode(&writer, context.userInfo)
                    if let used = context.takeIfUsed() {
                        carried = used
                        descriptors = used.numbers
                    }
                }
                if isPrefixed { writer.overwrite(UInt64(writer.count - start - 8), at: start) }
            } catch {
                writer.truncate(to: start)
                throw error
            }
            noteEnd(of: start)
        }

        /// Notes that a piece that begins at `start` ends here.
        @inline(__always)
        private func noteEnd(of start: Int) {
            count += 1
            if count == 1 { return }
            if count == 2 { ends.append(start) }
            ends.append(writer.count)
        }

        /// Encodes one more piece: a single element as it lies in memory.
        func append(one element: UnsafeRawBufferPointer, _ bulk: BulkArrays, isPrefixed: Bool) {
            let start = writer.count
            if isPrefixed { writer.write(UInt64(0)) }
            // Between two elements there may be more room than an element has bytes.
            if element.count == bulk.stride {
                bulk.write(element, into: &writer)
            } else {
                withUnsafeTemporaryAllocation(byteCount: bulk.stride, alignment: 16) { padded in
                    padded.initializeMemory(as: UInt8.self, repeating: 0)
                    padded.copyMemory(from: element)
                    bulk.write(UnsafeRawBufferPointer(padded), into: &writer)
                }
            }
            if isPrefixed { writer.overwrite(UInt64(writer.count - start - 8), at: start) }
            noteEnd(of: start)
        }

        /// Encodes elements as they lie in memory, as pieces of `pieceSize` bytes of them.
        func append(_ elements: UnsafeRawBufferPointer, _ bulk: BulkArrays, pieceSize: Int, isPrefixed: Bool) {
            guard !elements.isEmpty else { return }
            let pieces = (elements.count + pieceSize - 1) / pieceSize
            ends.reserveCapacity(pieces)
            var offset = 0
            while offset < elements.count {
                let start = writer.count
                let piece = elements[offset..<min(offset + pieceSize, elements.count)]
                if isPrefixed { writer.write(UInt64(0)) }
                bulk.write(UnsafeRawBufferPointer(rebasing: piece), into: &writer)
                if isPrefixed { writer.overwrite(UInt64(writer.count - start - 8), at: start) }
                ends.append(writer.count)
                offset += pieceSize
            }
            count = pieces
        }

        /// Adds a piece that is not encoded.
        func append(_ value: any Sendable) {
            values.append(value)
            count += 1
        }

        /// The bytes in a range of all bytes, where they lie.
        @inline(__always)
        func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
            writer.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[range]) }
        }

        /// The bytes of some of its pieces.
        func bytes(of pieces: Range<Int>) -> Range<Int> {
            guard count > 1 else { return 0..<writer.count }
            return (pieces.lowerBound == 0 ? 0 : ends[pieces.lowerBound - 1])..<ends[pieces.upperBound - 1]
        }
    }

    /// The blocks, and the number of the first piece in each.
    @exclusivity(unchecked) private var blocks: [(first: Int, block: Block)] = []
    /// The only block, while there is only one.
    @exclusivity(unchecked) private var only: Block?
    /// How many pieces were added.
    @exclusivity(unchecked) private(set) var count = 0

    /// Adds the pieces of a block.
    func append(_ block: Block) {
        if block.carriesDescriptors { carriesDescriptors = true }
        if count == 0 {
            only = block
        } else {
            if let first = only {
                blocks.append((0, first))
                only = nil
            }
            blocks.append((count, block))
        }
        count += block.count
    }

    /// The memory that `pieces` are in and nothing else is, where an engine has lent it.
    @inline(__always)
    func loan(of pieces: Range<Int>) -> (any LentMemory)? {
        pieces.count == count ? only?.loan : nil
    }

    /// Says that nothing of it is needed any more.
    func giveBack() {
        only?.loan?.giveBack()
    }

    /// The descriptors beside all pieces.
    var descriptors: [Int32] { only?.descriptors ?? blocks.flatMap(\.block.descriptors) }

    /// Whether there are handles in any piece.
    private(set) var carriesDescriptors = false

    /// The bytes of `pieces` if they lie together; valid until anything is added or forgotten.
    @inline(__always)
    func bytes(of pieces: Range<Int>) -> UnsafeRawBufferPointer? {
        if let only { return only.slice(only.bytes(of: pieces)) }
        guard let index = block(of: pieces.lowerBound) else { return nil }
        let (first, block) = blocks[index]
        guard pieces.upperBound <= first + block.count else { return nil }
        return block.slice(block.bytes(of: pieces.lowerBound - first..<pieces.upperBound - first))
    }

    /// The block that a piece is in.
    private func block(of piece: Int) -> Int? {
        // Most pieces are asked for one after the other.
        if last < blocks.count, blocks[last].first <= piece {
            if piece < blocks[last].first + blocks[last].block.count { return last }
            if last + 1 < blocks.count, piece < blocks[last + 1].first + blocks[last + 1].block.count {
                last += 1
                return last
            }
        }
        guard !blocks.isEmpty else { return nil }
        // The last block that begins at or before the piece.
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if blocks[middle].first <= piece { low = middle } else { high = middle }
        }
        last = low
        return low
    }

    /// The block that was asked for last.
    private var last = 0

    /// The bytes of `pieces`.
    func size(of pieces: Range<Int>) -> Int {
        if let only { return only.bytes(of: pieces).count }
        var sum = 0
        forEach(pieces) { block, range in sum += range.count }
        return sum
    }

    /// The descriptors beside `pieces`.
    func descriptors(of pieces: Range<Int>) -> [Int32] {
        if let only { return only.descriptors }
        var numbers: [Int32] = []
        forEach(pieces) { block, _ in numbers += block.descriptors }
        return numbers
    }

    /// The values of `pieces`, where nothing is encoded.
    func values(of pieces: Range<Int>) -> [any Sendable] {
        if let only { return Array(only.values[pieces]) }
        var values: [any Sendable] = []
        var piece = pieces.lowerBound
        for (first, block) in blocks where first + block.count > piece && first < pieces.upperBound {
            let end = min(pieces.upperBound, first + block.count)
            values += block.values[piece - first..<end - first]
            piece = end
        }
        return values
    }

    /// Copies the bytes of `pieces` to `target`.
    func copy(_ pieces: Range<Int>, to target: UnsafeMutableRawPointer) {
        if let only { return Self.copy(only, only.bytes(of: pieces), to: target) }
        var target = target
        forEach(pieces) { block, range in
            Self.copy(block, range, to: target)
            target += range.count
        }
    }

    private static func copy(_ block: Block, _ range: Range<Int>, to target: UnsafeMutableRawPointer) {
        block.writer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            LargeCopy.copy(base + range.lowerBound, to: target, count: range.count)
        }
    }

    /// Forgets blocks of which all pieces come before `piece`, so that a long stream does not grow, and returns them.
    func forget(before piece: Int) -> [Block] {
        let kept = blocks.firstIndex { $0.first + $0.block.count > piece } ?? blocks.count
        guard kept > 16 || (kept > 0 && kept == blocks.count) else { return [] }
        let forgotten = blocks[..<kept].map(\.block)
        blocks.removeFirst(kept)
        last = 0
        return forgotten
    }

    private func forEach(_ pieces: Range<Int>, _ body: (Block, Range<Int>) -> Void) {
        guard !pieces.isEmpty else { return }
        guard var index = block(of: pieces.lowerBound) else { return }
        var piece = pieces.lowerBound
        while piece < pieces.upperBound, index < blocks.count {
            let (first, block) = blocks[index]
            let last = min(pieces.upperBound - first, block.count)
            body(block, block.bytes(of: piece - first..<last))
            piece = first + last
            index += 1
        }
    }
}
