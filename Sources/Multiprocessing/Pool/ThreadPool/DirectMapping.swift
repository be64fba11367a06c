// SPDX-License-Identifier: Apache-2.0

/// A call of `map` and its relatives on threads, before it is submitted. Items and results stay what they are.
struct DirectMapping<T: Sendable, R: Sendable> {
    /// Kept by the result.
    private let pool: ThreadPool
    private let job: PoolJob

    private var core: PoolCore { pool.core }
    /// How many items are in a piece; nil: it follows from how many there are.
    private let pieceSize: Int?

    /// Prepares a job of a synchronous function.
    init(
        _ pool: ThreadPool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        isElementwise: Bool = false,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws {
        try self.init(pool, chunkSize, options, isElementwise, .sync { try Self.items($0).map(function) })
    }

    /// Prepares a job of an asynchronous function.
    init(
        _ pool: ThreadPool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        isElementwise: Bool = false,
        _ function: @escaping @Sendable (T) async throws -> R
    ) throws {
        try self.init(
            pool,
            chunkSize,
            options,
            isElementwise,
            .async { piece in
                var results: [R] = []
                for item in try Self.items(piece) { results.append(try await function(item)) }
                return results
            }
        )
    }

    private init(
        _ pool: ThreadPool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ isElementwise: Bool,
        _ function: DirectFunction
    ) throws {
        if let chunkSize, chunkSize < 1 {
            throw PoolError(.invalidArgument, "chunkSize is \(chunkSize), and must be at least 1")
        }
        try options.check()
        self.pool = pool
        let singly = isElementwise || options.concernsItems
        pieceSize = singly ? 1 : chunkSize
        job = PoolJob(
            TaskFunction(function),
            options,
            failsFast: !isElementwise,
            isElementwise: singly,
            mostPieces: singly ? chunkSize ?? .max : chunkSize == nil ? .max : 1,
            isExact: chunkSize != nil
        )
    }

    private static func items(_ piece: any Sendable) throws -> [T] {
        guard let items = piece as? [T] else { throw PoolError(.engine, "a piece of a map has other items") }
        return items
    }

    // MARK: - Submitting

    /// Submits the items; all results come together.
    func run(
        _ items: some Collection<T>,
        _ callbacks: Callbacks<[R]> = Callbacks(),
        progress: PoolProgress? = nil
    ) throws -> AsyncResult<[R]> {
        let result = results(items.count)
        result.call(callbacks)
        take(items, progress)
        try core.submit(job, isComplete: true)
        return result
    }

    /// Submits the items without blocking a thread while the pool's queue is full; all results come together.
    func run(_ items: some Collection<T>, progress: PoolProgress? = nil) async throws -> AsyncResult<[R]> {
        let result = results(items.count)
        take(items, progress)
        try await core.submit(job, isComplete: true)
        return result
    }

    /// Submits the items for a caller that does not wait.
    func start(_ items: some Collection<T>, _ callbacks: Callbacks<[R]>) throws -> AsyncResult<[R]> {
        let result = try run(items, callbacks)
        core.leaveToThreadSoon()
        return result
    }

    private func results(_ count: Int) -> AsyncResult<[R]> {
        AsyncResult(core, job, keeping: pool) { job in try Self.results(of: job, count: count) }
    }

    /// Submits the items; each has an outcome of its own.
    func runEach(
        _ items: some Collection<T>,
        progress: PoolProgress? = nil
    ) throws -> AsyncResult<[Result<R, any Error>]> {
        take(items, progress)
        try core.submit(job, isComplete: true)
        return outcomes(items.count)
    }

    /// Submits the items without blocking a thread while the pool's queue is full; each has an outcome of its own.
    func runEach(
        _ items: some Collection<T>,
        progress: PoolProgress? = nil
    ) async throws -> AsyncResult<[Result<R, any Error>]> {
        take(items, progress)
        try await core.submit(job, isComplete: true)
        return outcomes(items.count)
    }

    private func outcomes(_ count: Int) -> AsyncResult<[Result<R, any Error>]> {
        AsyncResult(core, job, keeping: pool) { job in try Self.outcomes(of: job, count: count) }
    }

    /// Large pieces cost little each, small ones can be shared out evenly.
    private func size(for count: Int) -> Int {
        pieceSize ?? PieceSize.forItems(count, workers: core.session.parallelism)
    }

    /// Puts the items into the job.
    private func take(_ items: some Collection<T>, _ progress: PoolProgress?) {
        let size = core.withLock { self.size(for: items.count) }
        job.meter = progress.map { ProgressMeter($0, total: items.count, itemsPerPiece: size) }
        let block = TaskInput.Block()
        var index = items.startIndex
        while index != items.endIndex {
            let end = items.index(index, offsetBy: size, limitedBy: items.endIndex) ?? items.endIndex
            block.append(Array(items[index..<end]))
            index = end
        }
        if block.count > 0 { job.take(block) }
    }

    // MARK: - Results

    private static func values(_ job: PoolJob, _ answer: Int) throws -> [R] {
        try job.answers.values(answer).flatMap { value in
            guard let results = value as? [R] else { throw PoolError(.engine, "a piece of a map has other results") }
            return results
        }
    }

    /// Puts the answers together in the order of the items.
    private static func results(of job: PoolJob, count: Int) throws -> [R] {
        var results: [R] = []
        results.reserveCapacity(count)
        for answer in job.answers.inOrder(pieces: job.input.count) {
            results += try values(job, answer)
        }
        guard results.count == count else {
            throw PoolError(.engine, "\(count) items were submitted, and \(results.count) results have come")
        }
        return results
    }

    /// The outcome of each item, in their order.
    private static func outcomes(of job: PoolJob, count: Int) throws -> [Result<R, any Error>] {
        var outcomes = [Result<R, any Error>?](repeating: nil, count: count)
        for answer in 0..<job.answers.count {
            let outcome = Result { () throws -> R in
                guard let result = try values(job, answer).first else {
                    throw PoolError(.engine, "an item has no result")
                }
                return result
            }
            for piece in job.answers[answer].pieces where piece < count { outcomes[piece] = outcome }
        }
        return try outcomes.map { outcome in
            guard let outcome else { throw PoolError(.engine, "an item has no outcome") }
            return outcome
        }
    }
}
