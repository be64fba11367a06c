// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// One call of a pool's user: what was submitted, what has come back, and who waits.
///
/// `@unchecked Sendable` is safe because what changes is used under the pool's lock, until `isEnded` says that nothing changes any more.
final class PoolJob: @unchecked Sendable {
    let function: TaskFunction
    let options: TaskOptions
    let rules: PoolStateMachine.Rules
    let input = TaskInput()
    /// Set once, when the job is added.
    var id = PoolStateMachine.JobID(number: 0)
    /// What came back, in the order it came.
    private(set) var answers = AnswerList()
    /// The answer that failed the whole job, or why it was given up.
    private(set) var failedAnswer: Int?
    private(set) var failure: (any Error)?
    /// The bytes of its pieces that were not handed out.
    var waitingBytes = 0
    /// Who is to be told of each answer, or of the end.
    var waiters: [Notice] = []
    /// Whether answers are read before the end, as they come.
    var isReadAsItGoes = false
    /// Who is told how far it has come.
    var meter: ProgressMeter?
    /// Called once, by the pool's thread, when it has ended.
    var onEnd: (@Sendable () -> Void)?
    private let ended = Atomic<Bool>(false)

    init(
        _ function: TaskFunction,
        _ options: TaskOptions,
        failsFast: Bool,
        isElementwise: Bool,
        mostPieces: Int = .max,
        isExact: Bool = false
    ) {
        self.function = function
        self.options = options
        rules = PoolStateMachine.Rules(
            priority: options.priority,
            retries: options.retries,
            retriesErrors: options.retriesErrors,
            failsFast: failsFast,
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

    // MARK: - Under the pool's lock

    /// Keeps what came back.
    func store(_ pieces: Range<Int>, _ result: ResultEnvelope) {
        if result.threw, rules.failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.store(pieces, result)
    }

    /// Notes that some pieces failed without an answer.
    func store(_ pieces: Range<Int>, failure error: any Error) {
        if rules.failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.store(pieces, failure: error)
    }

    /// Whether the job has failed as a whole.
    var hasFailed: Bool { failedAnswer != nil || failure != nil }

    /// Gives the job up.
    func fail(_ error: any Error) {
        if failure == nil { failure = error }
    }

    /// Notes that nothing more comes.
    func end() {
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

    /// Throws if the job failed as a whole.
    func check() throws {
        if let failure { throw failure }
        if let failedAnswer { try answers.read(failedAnswer) { _, _ in } }
    }
}
