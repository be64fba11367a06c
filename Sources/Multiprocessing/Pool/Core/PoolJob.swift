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
    /// The arguments. Set before it is submitted; what is in it may grow.
    @exclusivity(unchecked) private(set) var input: TaskArguments
    /// Whether it is a single call.
    private let isCall: Bool
    /// The result of a call, if it is short and without handles.
    @exclusivity(unchecked) private var shortResult: ShortBytes?
    // Unchecked is safe for what is used under the pool's lock only: no access calls anything outside.
    /// Set once, when the job is added.
    @exclusivity(unchecked) var id = PoolStateMachine.JobID(number: 0)
    /// What most calls have not, until they have it.
    @exclusivity(unchecked) private var more: More?
    /// The bytes of its pieces that were not handed out.
    @exclusivity(unchecked) var waitingBytes = 0
    /// Who is to be told of each answer, or of the end.
    @exclusivity(unchecked) var waiters: [Notice] = []
    /// Whether answers are read before the end, as they come.
    @exclusivity(unchecked) var isReadAsItGoes = false
    private let ended = Atomic<Bool>(false)

    /// What a call that returns a short result, and nobody wants to be told of, does not need: there may be tens of thousands of those, and all that each has is written, and read again when it goes.
    private final class More {
        // Unchecked is safe for the same reason as in the job.
        @exclusivity(unchecked) var answers = AnswerList()
        /// The answer that failed the whole job.
        @exclusivity(unchecked) var failedAnswer: Int?
        /// Why it was given up.
        @exclusivity(unchecked) var failure: (any Error)?
        @exclusivity(unchecked) var itemCount: Int?
        @exclusivity(unchecked) var itemsPerPiece: Int?
        @exclusivity(unchecked) var meter: ProgressMeter?
        @exclusivity(unchecked) var onEnd: (@Sendable (PoolJob) -> Void)?
    }

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
        more = isCall ? nil : More()
        input = isCall ? .short(ShortBytes()) : .pieces(TaskInput())
    }

    /// Whether functions, arguments and results are the user's own objects, and not bytes.
    var isDirect: Bool { function.direct != nil }

    /// Whether nothing more comes. Pairs with the release in `end`.
    var isEnded: Bool { ended.load(ordering: .acquiring) }

    // MARK: - What it may have

    /// What else it has, from now on. Before it is submitted, or under the pool's lock.
    private func making() -> More {
        if let more { return more }
        let made = More()
        more = made
        return made
    }

    /// What came back, in the order it came.
    var answers: AnswerList {
        _read {
            guard let more else { preconditionFailure("a call without answers has none to be read") }
            yield more.answers
        }
    }

    /// Why it was given up.
    var failure: (any Error)? { more?.failure }

    /// How many items it has in all, if it is a map. Set before it is submitted.
    var itemCount: Int? {
        get { more?.itemCount }
        set { making().itemCount = newValue }
    }

    /// How many of them are in each piece but the last. Set before it is submitted.
    var itemsPerPiece: Int? {
        get { more?.itemsPerPiece }
        set { making().itemsPerPiece = newValue }
    }

    /// Who is told how far it has come. Set before it is submitted.
    var meter: ProgressMeter? {
        get { more?.meter }
        set { making().meter = newValue }
    }

    /// Called once, by the pool's thread, when it has ended. It is given the job, which it must not keep: one that is never submitted would keep itself.
    var onEnd: (@Sendable (PoolJob) -> Void)? {
        get { more?.onEnd }
        set { making().onEnd = newValue }
    }

    // MARK: - Before it is submitted

    /// Adds the pieces that are there before the job is submitted.
    func take(_ block: TaskInput.Block) {
        waitingBytes += block.writer.count
        append(block)
    }

    /// Sets the arguments of a call.
    func take(_ call: CallInput) {
        waitingBytes += call.size
        switch call {
        case .short(let bytes): input = .short(bytes)
        case .block(let block):
            input = .pieces(TaskInput())
            append(block)
        }
    }

    private func append(_ block: TaskInput.Block) {
        guard case .pieces(let input) = input else { preconditionFailure("a call has its arguments from the start on") }
        input.append(block)
    }

    // MARK: - Under the pool's lock

    /// Keeps what came back.
    func store(_ pieces: Range<Int>, _ result: ResultEnvelope) {
        if isCall, result.isPlain, let short = ShortBytes(result.bytes) { return shortResult = short }
        let more = making()
        if result.threw, failsFast, more.failedAnswer == nil { more.failedAnswer = more.answers.count }
        more.answers.store(pieces, result)
    }

    /// Notes that some pieces failed without an answer.
    func store(_ pieces: Range<Int>, failure error: any Error) {
        let more = making()
        if failsFast, more.failedAnswer == nil { more.failedAnswer = more.answers.count }
        more.answers.store(pieces, failure: error)
    }

    /// The error, with the items that it is about.
    func naming(_ pieces: Range<Int>, in error: any Error) -> any Error {
        guard let lost = error as? WorkerLost, let size = itemsPerPiece, let itemCount else { return error }
        return lost.at(pieces.lowerBound * size..<min(pieces.upperBound * size, itemCount))
    }

    /// Whether the job has failed as a whole.
    var hasFailed: Bool { more.map { $0.failedAnswer != nil || $0.failure != nil } ?? false }

    /// Gives the job up.
    func fail(_ error: any Error) {
        if failure == nil { making().failure = error }
    }

    /// Notes that nothing more comes.
    func end() {
        input.giveBack()
        ended.store(true, ordering: .releasing)
    }

    /// Whether answers have come that were not taken.
    var hasAnswers: Bool { more.map { !$0.answers.isEmpty } ?? false }

    /// Takes the answers that have come since the last call, for a job that is read as it goes.
    func takeAnswers() -> AnswerList {
        var taken = AnswerList()
        swap(&taken, &making().answers)
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
        guard let more, !more.answers.isEmpty else {
            throw PoolError(.engine, "a call has ended without an answer")
        }
        return try more.answers.read(0, decode)
    }

    /// Throws if the job failed as a whole.
    func check() throws {
        guard let more else { return }
        if let failure = more.failure { throw failure }
        if let failedAnswer = more.failedAnswer { try more.answers.read(failedAnswer) { _, _ in } }
    }
}
