// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Threads of this process that call functions, with the interface of ``Pool``.
///
/// ```swift
/// let pool = try ThreadPool(threads: 4)
/// try pool.map(["a", "bb"]) { $0.count }  // [1, 2]
/// ```
///
/// Nothing is encoded: functions, arguments and results are the objects they are, need not be `Codable`, and errors come back as what was thrown. What processes give, threads cannot: a task that crashes ends the program, memory
/// that a task leaks stays, and a thread that hangs cannot be ended. A call that takes longer than its options allow, or that is cancelled, fails at once; its thread is left to itself and a new one takes its place.
///
/// The threads are the pool's own, with stacks of 8 MiB, so tasks may block. They are not Swift's: a task that waits for a lock or a file holds up no `async` code.
public final class ThreadPool: WorkerPool {
    let core: PoolCore

    /// Makes a pool and starts its threads.
    ///
    /// - Parameters:
    ///   - threads: How many; nil: ``availableCPUCount``.
    ///   - maxTasksPerChild: A thread that has done so many tasks (chunks of a map count as one) is replaced. Nil: none is.
    ///   - queueLimit: How much may wait to be handed to threads; who submits more waits, and `trySubmit(options:_:_:)` returns nil. Nothing is encoded, so only tasks count.
    ///   - initializer: Called on each thread before its first task; again on those that replace others. When it fails a few times in a row, the pool gives up, and calls throw `PoolError` (`workersFail`).
    /// - Throws: `PoolError` for numbers below 1.
    public init(
        threads: Int? = nil,
        maxTasksPerChild: Int? = nil,
        queueLimit: QueueLimit = QueueLimit(),
        initializer: (@Sendable () throws -> Void)? = nil
    ) throws {
        var specification = WorkerSpecification(count: try Pool.checked(threads ?? availableCPUCount, "threads"))
        specification.maximumTasks = try maxTasksPerChild.map { try Pool.checked($0, "maxTasksPerChild") }
        try queueLimit.check()
        specification.name = "ThreadPool\(ProcessIdentity.nextPoolNumber())"
        if let initializer { specification.initializer = TaskFunction(.sync { _ in try initializer() }) }
        core = try PoolCore(ThreadEngine(), specification, queueLimit)
    }

    deinit {
        core.terminate()
    }

    // MARK: - The end

    /// Accepts no further calls. Those that were made are done; then the threads end. Returns at once.
    public func close() {
        core.close()
    }

    /// Fails every call that has no outcome yet with `PoolError` (`terminated`), and ends the threads that have nothing to do. Those in a task end once it returns; nobody waits for them. Returns at once.
    public func terminate() {
        core.terminate()
    }

    /// Blocks until all threads have ended but those that were left to themselves, after `close()` or `terminate()`.
    ///
    /// - Throws: `PoolError` (`stillRunning`) before either.
    @available(*, noasync)
    public func join() throws {
        try core.checkJoinable()
        _ = core.gone.wait(until: .never)
    }

    /// Suspends until all threads have ended but those that were left to themselves, after `close()` or `terminate()`.
    ///
    /// - Throws: `PoolError` (`stillRunning`) before either; `CancellationError`.
    public func join() async throws {
        try core.checkJoinable()
        _ = try await core.gone.wait(until: .never, on: Runtime.shared().reactor)
    }

    // MARK: - What it is doing

    /// What the pool has done and is doing, at this moment. Threads have no process id and no memory of their own.
    public var statistics: PoolStatistics { core.statistics }

    /// How many threads there are to be. Those too many end after what they are doing; new ones are started at once.
    public func resize(threads: Int) throws {
        let count = try Pool.checked(threads, "threads")
        try core.checkProcess()
        core.withLock { core.session.scale(to: count) }
        core.ensureThread()
    }

    /// The same as ``resize(threads:)``, under the name that all pools have for it.
    public func resize(workers: Int) throws {
        try resize(threads: workers)
    }
}
