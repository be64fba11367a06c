// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// One call of a pool's user: what was submitted, what has come back, and who waits.
///
/// `@unchecked Sendable` is safe because what changes is used under the pool's lock, until `isEnded` says that nothing changes any more.
final class PoolJob: @unchecked Sendable {
    /// What came back for some pieces.
    struct Answer {
        let pieces: Range<Int>
        /// Where the bytes are: in the job's own memory, or in that of the lease.
        let place: Place
        let descriptors: [Int32]
        let worker: String

        /// The bytes of it.
        var size: Int {
            switch place {
            case .copied(let range, _): range.count
            case .leased(let bytes, _, _): bytes.count
            case .values, .failed: 0
            }
        }

        enum Place {
            case copied(Range<Int>, threw: Bool)
            case leased(UnsafeRawBufferPointer, any AnyObject & Sendable, threw: Bool)
            case values([any Sendable])
            case failed(any Error)
        }
    }

    let function: TaskFunction
    let options: TaskOptions
    let rules: PoolStateMachine<PoolJob>.Rules
    let input = TaskInput()
    /// Set once, when the job is added.
    var id = PoolStateMachine<PoolJob>.JobID(number: 0)
    /// What came back, in the order it came.
    private(set) var answers: [Answer] = []
    /// The answers' bytes.
    private var bytes = WireWriter()
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
        let place: Answer.Place
        if let outcome = result.outcome {
            switch outcome {
            case .values(let values): place = .values(values)
            case .failed(let error): place = .failed(error)
            }
        } else if let lease = result.lease {
            place = .leased(result.bytes, lease, threw: result.threw)
        } else {
            let start = bytes.count
            bytes.writeBytes(result.bytes)
            place = .copied(start..<bytes.count, threw: result.threw)
        }
        if result.threw, rules.failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.append(Answer(pieces: pieces, place: place, descriptors: result.descriptors, worker: result.worker))
    }

    /// Notes that some pieces failed without an answer.
    func store(_ pieces: Range<Int>, failure error: any Error) {
        if rules.failsFast, failedAnswer == nil { failedAnswer = answers.count }
        answers.append(Answer(pieces: pieces, place: .failed(error), descriptors: [], worker: ""))
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

    /// Takes the answers that have come since the last call, with their bytes, for a job that is read as it goes.
    func takeAnswers() -> (answers: [Answer], bytes: WireWriterBox) {
        defer {
            answers = []
            bytes = WireWriter()
        }
        var taken = WireWriter()
        swap(&taken, &bytes)
        return (answers, WireWriterBox(taken))
    }

    // MARK: - Once it has ended

    /// Throws if the job failed as a whole.
    func check() throws {
        if let failure { throw failure }
        if let failedAnswer { try read(answers[failedAnswer]) { _, _ in } }
    }

    /// Calls `body` with a reader of an answer; throws the error that the answer is.
    func read<R>(_ answer: Answer, _ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        try bytes.withUnsafeBytes { try Self.read(answer, $0, body) }
    }

    /// The values of an answer that was not encoded; throws the error that the answer is.
    static func values(of answer: Answer) throws -> [any Sendable] {
        switch answer.place {
        case .values(let values): return values
        case .failed(let error): throw error
        case .copied, .leased: throw PoolError(.engine, "a result that was to stay as it is was encoded")
        }
    }

    /// Calls `body` with a reader of an answer whose copied bytes are in `bytes`.
    static func read<R>(
        _ answer: Answer,
        _ bytes: UnsafeRawBufferPointer,
        _ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        let part: UnsafeRawBufferPointer
        let threw: Bool
        switch answer.place {
        case .failed(let error): throw error
        case .values: throw PoolError(.engine, "a result that was to be encoded is not")
        case .copied(let range, let failed):
            part = UnsafeRawBufferPointer(rebasing: bytes[range])
            threw = failed
        case .leased(let leased, _, let failed):
            part = leased
            threw = failed
        }
        return try withExtendedLifetime(answer) {
            var reader = WireReader(part)
            // Duplicates, so that an outcome can be asked for again.
            var own: [Int32] = []
            for number in answer.descriptors {
                let duplicate = fcntl(number, F_DUPFD_CLOEXEC, 3)
                guard duplicate >= 0 else {
                    let error = SystemError(code: errno, operation: "taking handles out of a result")
                    for number in own { close(number) }
                    throw error
                }
                own.append(duplicate)
            }
            let userInfo: [CodingUserInfoKey: Any] = [
                CarriedDescriptors.userInfoKey: CarriedDescriptors(received: own)
            ]
            guard threw else { return try body(&reader, userInfo) }
            return try Outcome.read(from: &reader, userInfo, processName: answer.worker, result: body)
        }
    }

    deinit {
        for answer in answers {
            for number in answer.descriptors { close(number) }
        }
    }
}

/// A writer that is not written to any more.
final class WireWriterBox: Sendable {
    let writer: WireWriter

    init(_ writer: consuming WireWriter) {
        self.writer = writer
    }
}
