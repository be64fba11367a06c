// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The encoded arguments of a job's pieces, in blocks of pieces that were encoded together.
///
/// `@unchecked Sendable` is safe because it is changed and read under the pool's lock only.
final class TaskInput: @unchecked Sendable {
    /// Pieces that were encoded together. Not changed once it is part of an input.
    final class Block {
        /// The bytes of the pieces, one behind the other.
        var writer = WireWriter()
        /// Where each piece ends.
        var ends: [Int] = []
        /// The descriptors of handles in the pieces.
        let carried = CarriedDescriptors()
        let userInfo: [CodingUserInfoKey: Any]

        /// Whether there are handles in the pieces.
        var carriesDescriptors: Bool { !carried.numbers.isEmpty }

        init() {
            userInfo = [CarriedDescriptors.userInfoKey: carried]
        }

        /// Encodes one more piece.
        ///
        /// - Parameter isPrefixed: Whether its length goes before it.
        func append(isPrefixed: Bool, _ encode: (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void) throws {
            let start = writer.count
            do {
                if isPrefixed { writer.write(UInt64(0)) }
                try encode(&writer, userInfo)
                if isPrefixed { writer.overwrite(UInt64(writer.count - start - 8), at: start) }
                ends.append(writer.count)
            } catch {
                writer.truncate(to: start)
                throw error
            }
        }
    }

    /// The blocks, and the number of the first piece in each.
    private var blocks: [(first: Int, block: Block)] = []
    /// How many pieces were added.
    private(set) var count = 0

    /// Adds the pieces of a block.
    func append(_ block: Block) {
        blocks.append((count, block))
        count += block.ends.count
    }

    /// The bytes of `pieces`.
    func size(of pieces: Range<Int>) -> Int {
        var sum = 0
        forEach(pieces) { block, range in sum += range.count }
        return sum
    }

    /// The descriptors beside `pieces`.
    func descriptors(of pieces: Range<Int>) -> [Int32] {
        var numbers: [Int32] = []
        forEach(pieces) { block, _ in numbers += block.carried.numbers }
        return numbers
    }

    /// Copies the bytes of `pieces` to `target`.
    func copy(_ pieces: Range<Int>, to target: UnsafeMutableRawPointer) {
        var target = target
        forEach(pieces) { block, range in
            block.writer.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                target.copyMemory(from: base + range.lowerBound, byteCount: range.count)
            }
            target += range.count
        }
    }

    /// Forgets blocks of which all pieces come before `piece`, so that a long stream does not grow.
    func forget(before piece: Int) {
        let kept = blocks.firstIndex { $0.first + $0.block.ends.count > piece } ?? blocks.count
        if kept > 16 || kept == blocks.count { blocks.removeFirst(kept) }
    }

    private func forEach(_ pieces: Range<Int>, _ body: (Block, Range<Int>) -> Void) {
        guard !pieces.isEmpty else { return }
        // The last block that begins at or before the first piece.
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if blocks[middle].first <= pieces.lowerBound { low = middle } else { high = middle }
        }
        var index = low
        var piece = pieces.lowerBound
        while piece < pieces.upperBound, index < blocks.count {
            let (first, block) = blocks[index]
            let last = min(pieces.upperBound - first, block.ends.count)
            let from = piece == first ? 0 : block.ends[piece - first - 1]
            body(block, from..<block.ends[last - 1])
            piece = first + last
            index += 1
        }
    }
}
