// SPDX-License-Identifier: Apache-2.0
//
// What a lazy map knows, between three sides: whoever reads the input, the workers, and the consumer. All of it is under the pool's lock; nothing here waits.
//
//     input ──read──▶ pieces of the job ──▶ workers ──▶ answers ──collect()──▶ ready ──next()──▶ consumer
//       ▲                                                                               │
//       └──────────────────────────── room, as far as ReadAhead allows ◀────────────────┘

internal import MultiprocessingWireCoding

/// Answers that were taken out of a job together, with their bytes.
///
/// `@unchecked Sendable` is safe because nothing in it changes, and memory that answers point to is kept, unchanged, by their leases.
final class TakenAnswers: @unchecked Sendable {
    private let answers: AnswerList

    init(_ taken: consuming AnswerList) {
        answers = taken
    }

    var count: Int { answers.count }

    subscript(index: Int) -> AnswerList.Answer { answers[index] }

    /// Calls `body` with a reader of an answer; throws the error that the answer is.
    func read<R>(_ index: Int, _ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        try answers.read(index, body)
    }

    /// The one element that an answer is, if the answer is nothing but that, as it lies in memory.
    @inline(__always)
    func element<R>(_ index: Int, of type: R.Type, _ bulk: BulkArrays) -> R? {
        guard let bytes = answers.plainBytes(index) else { return nil }
        return withUnsafeTemporaryAllocation(of: R.self, capacity: 1) { memory -> R? in
            guard let target = memory.baseAddress,
                bulk.readAll(bytes, into: UnsafeMutableRawPointer(target), room: bulk.stride) == bulk.stride
            else { return nil }
            // All of its bytes are there, and every pattern of bits is a value.
            return target.move()
        }
    }

    /// The values of an answer that was not encoded; throws the error that the answer is.
    func values(_ index: Int) throws -> [any Sendable] { try answers.values(index) }
}

/// The state of a lazy map.
///
/// `@unchecked Sendable` is safe because it is used under the pool's lock only.
final class StreamState: @unchecked Sendable {
    /// One result or error, ready for the consumer.
    enum Ready {
        case answer(TakenAnswers, Int)
        /// An item that could not be encoded.
        case trouble(any Error)
    }

    /// What the consumer does next.
    enum Step {
        /// These are ready, in this order.
        case deliver([Ready])
        /// Read up to so many items.
        case feed(Int)
        case wait
        /// There is nothing more; perhaps for a reason.
        case end((any Error)?)
    }

    let isOrdered: Bool
    var ahead: ReadAhead
    /// How many consumers wait for news.
    var consumersWaiting = 0
    /// Whether somebody reads the input at this moment, or for good where a task does it.
    var isFeeding = false
    var isInputDone = false
    /// What the input threw, which is its end.
    var failure: (any Error)?
    /// Posted when there is room for a task that reads the input.
    var room: Notice?
    /// How many items were read, encodable or not.
    private var itemsRead = 0
    /// How many pieces were added before: the number of the next one.
    private var pieces = 0
    /// The item that each piece is, as long as the two numbers differ: those behind an item that could not be encoded.
    private var itemsOfPieces = PieceNumbers()
    /// Results by the number of their item, in order.
    private var inOrder = PieceWindow<Ready>()
    /// Results as they came.
    private var asTheyCame = FIFO<Ready>()
    /// Which pieces are settled, to know up to where all are.
    private var settled = PieceWindow<Void>()
    private var hasEnded = false
    /// Items that are not needed any more, where they are objects of the user's: to be let go of without the lock.
    private var leftovers: [TaskInput.Block] = []

    /// Takes them, for the one who will let go of them.
    func takeLeftovers() -> [TaskInput.Block] {
        guard !leftovers.isEmpty else { return [] }
        defer { leftovers = [] }
        return leftovers
    }

    init(isOrdered: Bool, _ ahead: ReadAhead) {
        self.isOrdered = isOrdered
        self.ahead = ahead
    }

    // MARK: - Input

    /// Notes items that were read, in the order they were read: nil for those that are pieces now, and the error of those that could not be encoded.
    func read(_ errors: [(index: Int, error: any Error)], count: Int, bytes: Int) {
        ahead.read(count, bytes: bytes)
        for (index, error) in errors {
            // Those before it in this block are pieces; so many less follow.
            itemsOfPieces.skip(item: itemsRead + index)
            add(.trouble(error), item: itemsRead + index)
        }
        itemsRead += count
        pieces += count - errors.count
    }

    private func add(_ ready: Ready, item: Int) {
        if isOrdered {
            inOrder.insert(ready, at: item)
        } else {
            asTheyCame.append(ready)
        }
    }

    // MARK: - Output

    /// Takes the answers that have come.
    func collect(_ job: PoolJob) {
        guard job.hasAnswers else { return }
        let taken = TakenAnswers(job.takeAnswers())
        var bytes = 0
        for index in 0..<taken.count {
            let answer = taken[index]
            bytes += answer.size
            for piece in answer.pieces {
                add(.answer(taken, index), item: itemsOfPieces.item(of: piece))
                settled.insert((), at: piece)
            }
        }
        ahead.answered(taken.count, bytes: bytes)
        while settled.popFirst() != nil {}
        itemsOfPieces.forget(before: settled.base)
        let forgotten = job.input.forget(before: settled.base)
        if job.isDirect, !forgotten.isEmpty { leftovers += forgotten }
    }

    /// Whether there is something to do for a consumer: to deliver, to end, or to read.
    func hasNews(_ job: PoolJob) -> Bool {
        job.hasAnswers || job.isEnded || hasReady || wantsFeeding(job)
    }

    /// Whether a consumer is to read items: of several, one reads, and another has to where that one does not come back.
    private func wantsFeeding(_ job: PoolJob) -> Bool {
        !isFeeding && !isInputDone && !job.isEnded && ahead.isWorthFilling
    }

    /// Whether something can be delivered.
    var hasReady: Bool { isOrdered ? inOrder.hasFirst : !asTheyCame.isEmpty }

    /// What the consumer does next.
    func step(_ job: PoolJob, parallelism: Int) -> Step {
        collect(job)
        if wantsFeeding(job) {
            noteStarving(parallelism)
            isFeeding = true
            return .feed(ahead.room)
        }
        let ready = takeReady()
        if !ready.isEmpty {
            // The first is on its way to the consumer; the others count when they are.
            ahead.consume(1)
            return .deliver(ready)
        }
        guard job.isEnded else { return .wait }
        guard !hasEnded else { return .end(nil) }
        hasEnded = true
        return .end(failure ?? job.failure)
    }

    /// Takes results that can be delivered: so many together as are nothing against what is read ahead, or one where others wait for the next.
    private func takeReady() -> [Ready] {
        let most = consumersWaiting > 0 ? 1 : min(256, max(1, ahead.window / 16))
        var ready: [Ready] = []
        while ready.count < most, let next = isOrdered ? inOrder.popFirst() : asTheyCame.popFirst() {
            if ready.isEmpty { ready.reserveCapacity(most) }
            ready.append(next)
        }
        return ready
    }

    /// Reads further ahead from now on if the workers have run out of items while there were more.
    private func noteStarving(_ parallelism: Int) {
        if pieces > 0, pieces - settled.base < parallelism { ahead.starve() }
    }

    /// The notice of a reader that waits for room, if there is enough now.
    func takeRoomNotice(parallelism: Int) -> Notice? {
        guard let room, ahead.isWorthFilling else { return nil }
        noteStarving(parallelism)
        self.room = nil
        return room
    }
}

/// Which item a piece is. Pieces are counted without the items that could not be encoded. Pure.
struct PieceNumbers {
    /// From which piece on how many items were left out; ascending.
    private var skips: [(piece: Int, skipped: Int)] = []
    private var skipped = 0

    /// Notes that an item is no piece. Items come in ascending order.
    mutating func skip(item: Int) {
        let piece = item - skipped
        skipped += 1
        if let last = skips.last, last.piece == piece {
            skips[skips.count - 1].skipped = skipped
        } else {
            skips.append((piece, skipped))
        }
    }

    /// The item that a piece is.
    func item(of piece: Int) -> Int {
        piece + (skips.last { $0.piece <= piece }?.skipped ?? 0)
    }

    /// Forgets what is of no use for pieces from `piece` on.
    mutating func forget(before piece: Int) {
        guard skips.count > 1, let kept = skips.lastIndex(where: { $0.piece <= piece }), kept > 0 else { return }
        skips.removeFirst(kept)
    }
}
