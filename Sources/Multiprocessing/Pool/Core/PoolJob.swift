// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// One call of a pool's user: what was submitted, what has come back, and who waits.
///
/// `@unchecked Sendable` is safe because what changes is used under the pool's lock, until `isEnded` says that nothing changes any more.
final class PoolJob: @unchecked Sendable {
    let function: TaskFunction
    let options: TaskOptions
    let rules: PoolStateMachine.Rules
    /// Whether the first piece that fails fails the job. The machine need not know: it is told to end the job.
    private let failsFast: Bool
    let input = TaskInput()
    /// Whether it is a single call.
    private let isCall: Bool
    /// The result of a call, if it is short and without handles.
    @exclusivity(unchecked) private var shortResult: ShortBytes?
    // Unchecked is safe for what is used under the pool's lock only: no access calls anything outside.
    /// Set once, when the job is added.
    @exclusivity(unchecked) var id = PoolStateMachine.JobID(number: 0)
    /// What came back, in the order it came.
    @exclusivity(unchecked) private(set) var answers = AnswerList()
    /// The answer that failed the whole job, or why it was given up.
    @exclusivity(unchecked) private(set) var failedAnswer: Int?
    @exclusivity(unchecked) private(set) var failure: (any Error)?
    /// The bytes of its pieces that were not handed out.
    @exclusivity(unchecked) var waitingBytes = 0
    /// Who is to be told of each answer, or of the end.
    @exclusivity(unchecked) var waiters: [Notice] = []
    /// Whether answers are read before the end, as they come.
    @exclusivity(unchecked) var isReadAsItGoes = false
    /// How many items it has in all, and in each piece but the last, if it is a map. Set before it is submitted.
    @exclusivity(unchecked) var itemCount: Int?
    @exclusivity(unchecked) var itemsPerPiece: Int?
    /// Who is told how far it has come.
    @exclusivity(unchecked) var meter: ProgressMeter?
    /// Called once, by the pool's thread, when it has ended. It is given the job, which it must not keep: one that is never submitted would keep itself.
    @exclusivity(unchecked) var onEnd: (@Sendable (PoolJob) -> Void)?
    private let ended = Atomic<Bool>(false)

    init(
        _ function: TaskFunction,
        _ options: TaskOptions,
        failsFast: Bool,
        isElementwise: Bool,
        isCall: Bool = false,
        mostPieces: Int = .max,
        isExact: Bool = false
    ) {
        self.function = function
        self.options = options
        self.isCall = isCall
        self.failsFast = failsFast
        rules = PoolStateMachine.Rules(
            priority: options.priority,
            retries: options.retries,
            retriesErrors: options.retriesErrors,
            mostPieces: mostPieces,
            isExact: isExact,
            isElementwise: isElementwise
        )
    }

    /// Whether nothing more comes. Pairs with the release in `end`.
    var isEnded: Bool { ended.load(ordering: .acquiring) }

    /// Adds the pieces that are there before the job is submitted.
    func take(_ block: TaskInput.Block) {
        waitingBytes += block.writer.count
        input.append(block)
    }

    /// Adds the arguments of a call.
    func take(_ call: CallInput) {
        waitingBytes += call.size
        switch call {
        case .short(let bytes): input.append(bytes)
        case .block(let block): input.append(block)
        }
    }

    // MARK: - Under the pool's lock

    /// Keeps what came back.
    func store(_ pieces: Range<Int>, _ result: ResultEnvelope) {
        if isCall, result.isPlain, let short = ShortBytes(result.bytes) { return shortResult = short }
        if result.threw, failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.store(pieces, result)
    }

    /// Notes that some pieces failed without an answer.
    func store(_ pieces: Range<Int>, failure error: any Error) {
        if failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.store(pieces, failure: error)
    }

    /// The error, with the items that it is about.
    func naming(_ pieces: Range<Int>, in error: any Error) -> any Error {
        guard let lost = error as? WorkerLost, let size = itemsPerPiece, let itemCount else { return error }
        return lost.at(pieces.lowerBound * size..<min(pieces.upperBound * size, itemCount))
    }

    /// Whether the job has failed as a whole.
    var hasFailed: Bool { failedAnswer != nil || failure != nil }

    /// Gives the job up.
    func fail(_ error: any Error) {
        if failure == nil { failure = error }
    }

    /// Notes that nothing more comes.
    func end() {
        input.giveBack()
        ended.store(true, ordering: .releasing)
    }

    /// Whether answers have come that were not taken.
    var hasAnswers: Bool { !answers.isEmpty }

    /// Takes the answers that have come since the last call, for a job that is read as it goes.
    func takeAnswers() -> AnswerList {
        var taken = AnswerList()
        swap(&taken, &answers)
        return taken
    }

    // MARK: - Once it has ended

    /// Calls `decode` with a reader of a call's result; throws the error that it is.
    func readCall<R>(_ decode: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        if let shortResult {
            return try shortResult.withBytes { bytes in
                var reader = WireReader(bytes)
                return try decode(&reader, AnswerList.withoutDescriptors.value)
            }
        }
        guard !answers.isEmpty else { throw PoolError(.engine, "a call has ended without an answer") }
        return try answers.read(0, decode)
    }

    /// Throws if the job failed as a whole.
    func check() throws {
        if let failure { throw failure }
        if let failedAnswer { try answers.read(failedAnswer) { _, _ in } }
    }
}
