// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// What a call of `imap` or `imapUnordered` asks for besides its items.
struct StreamSettings {
    let isOrdered: Bool
    let chunkSize: Int?
    let bufferSize: Int?
    let options: TaskOptions
    let progress: PoolProgress?

    init(
        _ isOrdered: Bool,
        _ chunkSize: Int?,
        _ bufferSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?
    ) {
        self.isOrdered = isOrdered
        self.chunkSize = chunkSize
        self.bufferSize = bufferSize
        self.options = options
        self.progress = progress
    }

    /// Whether workers answer each item alone, so that a failure, a deadline, or a slow item concerns nobody else. One item at a time is that in any case, and without more ado.
    var isElementwise: Bool { options.timeout != nil || chunkSize != 1 }

    /// Throws unless it makes sense.
    func check() throws {
        if let chunkSize, chunkSize < 1 {
            throw PoolError(.invalidArgument, "chunkSize is \(chunkSize), and must be at least 1")
        }
        if let bufferSize, bufferSize < 1 {
            throw PoolError(.invalidArgument, "bufferSize is \(bufferSize), and must be at least 1")
        }
        try options.check()
    }

    /// The job of a lazy map.
    ///
    /// - Parameter usualChunk: The pool's size of a chunk where the user does not say.
    func job(_ function: TaskFunction, usualChunk: Int?) -> PoolJob {
        let chunkSize = chunkSize ?? usualChunk
        let job = PoolJob(
            function,
            options,
            failsFast: false,
            isElementwise: isElementwise,
            mostPieces: chunkSize ?? .max,
            isExact: chunkSize != nil
        )
        job.isReadAsItGoes = true
        return job
    }
}

/// How the items of a lazy map get into its job, and results out of the answers.
struct StreamCoding<T, R: Sendable>: Sendable {
    /// Adds an item to a block, as a piece.
    let encode: @Sendable (T, TaskInput.Block) throws -> Void
    /// The result in an answer.
    let decode: @Sendable (TakenAnswers, Int) throws -> R
}

extension PoolResults.Stream {
    /// Begins a lazy map over a sequence, which the consumer reads.
    convenience init<T>(
        _ items: SequenceReader<T>,
        _ core: PoolCore,
        owner: any AnyObject & Sendable,
        _ settings: StreamSettings,
        _ function: TaskFunction,
        _ coding: StreamCoding<T, R>
    ) throws {
        let known = items.underestimatedCount
        try self.init(core, owner: owner, settings, function, coding, total: known > 0 ? known : nil) { feeder in
            ({ most in feeder.add(most, from: items.next) }, nil)
        }
    }

    /// Begins a lazy map over an asynchronous sequence, which a task reads.
    convenience init<T, S: AsyncSequence>(
        reading items: sending S,
        _ core: PoolCore,
        owner: any AnyObject & Sendable,
        _ settings: StreamSettings,
        _ function: TaskFunction,
        _ coding: StreamCoding<T, R>
    ) throws where S.Element == T {
        var iterator = items.makeAsyncIterator()
        let next: SendableBox<() async throws -> T?> = SendableBox {
            try await iterator.next(isolation: #isolation)
        }
        try self.init(core, owner: owner, settings, function, coding, total: nil) { feeder in
            ({ _ in }, feeder.read(next))
        }
    }

    private convenience init<T>(
        _ core: PoolCore,
        owner: any AnyObject & Sendable,
        _ settings: StreamSettings,
        _ function: TaskFunction,
        _ coding: StreamCoding<T, R>,
        total: Int?,
        _ open: (StreamFeeder<T>) -> (feed: @Sendable (Int) -> Void, reader: Task<Void, Never>?)
    ) throws {
        let job = settings.job(function, usualChunk: core.chunkSize)
        job.meter = settings.progress.map { ProgressMeter($0, total: total, itemsPerPiece: 1) }
        let ahead = ReadAhead(
            bufferSize: settings.bufferSize,
            parallelism: core.withLock { core.session.parallelism },
            chunk: settings.chunkSize ?? 1
        )
        let state = StreamState(isOrdered: settings.isOrdered, ahead)
        try core.begin(job)
        let (feed, reader) = open(StreamFeeder(core, job, state, coding.encode))
        if reader != nil { core.withLock { state.isFeeding = true } }
        self.init(
            core,
            job,
            state,
            owner: owner,
            feed: feed,
            reader: reader,
            decode: coding.decode
        )
    }
}

/// Reads a sequence.
///
/// `@unchecked Sendable` is safe because one thread or task uses it at a time, the one that has set `isFeeding`, and whoever made the sequence gave it away.
@usableFromInline
final class SequenceReader<T>: @unchecked Sendable {
    /// Returns the next item; nil at the end, after which it is not asked again.
    @usableFromInline let next: () -> T?
    /// How many items there are at least.
    @usableFromInline let underestimatedCount: Int

    /// Creates the reader of `items`, where their type is known: otherwise each item takes as long as its whole way to a worker.
    @inlinable
    init(_ items: some Sequence<T>) {
        underestimatedCount = items.underestimatedCount
        var iterator = items.makeIterator()
        next = { iterator.next() }
    }
}
