// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Processes that call functions: as many at the same time as there are workers, each call safe from the others' crashes.
///
/// ```swift
/// try withPool(processes: 4) { pool in
///     try pool.map([1, 2, 3, 4, 5], square)  // [1, 4, 9, 16, 25]
/// }
/// ```
///
/// A worker that dies fails the call it was at, with ``WorkerLost``, and is replaced; everything else goes on. Functions, arguments and results are encoded and decoded on the thread of whoever calls.
///
/// A pool can be used by any number of threads and tasks, and inside the workers of another pool. It ends its workers when it and all ``AsyncResult``s of its calls are dropped; `close()` and `join()` let them finish first.
public final class Pool: Sendable {
    let core: PoolCore

    /// Makes a pool and starts its workers.
    ///
    /// - Parameters:
    ///   - processes: How many workers; nil: ``availableCPUCount``.
    ///   - maxTasksPerChild: A worker that has done so many tasks (chunks of a map count as one) is replaced. Nil: none is.
    ///   - maxMemoryPerChild: A worker that has more than so many bytes in memory after a task is replaced. One that comes to twice as much during a task is ended, and the task fails with ``WorkerLost``. Nil: neither.
    ///   - isolation: Whether a worker does one task after the other or each task gets a process of its own.
    ///   - startMethod: How workers come to be.
    ///   - queueLimit: How much may wait to be handed to workers; who submits more waits, and `trySubmit(options:_:_:)` returns nil.
    ///   - initializer: Called in each worker before its first task.
    /// - Throws: `PoolError` (`invalidArgument`) for numbers below 1, and for more workers than this process may have descriptors for; `FunctionNotPortable` when the initializer cannot be carried; `SystemError` when descriptors or memory are short.
    public convenience init(
        processes: Int? = nil,
        maxTasksPerChild: Int? = nil,
        maxMemoryPerChild: Int? = nil,
        isolation: Isolation = .perWorker,
        startMethod: StartMethod = .default,
        queueLimit: QueueLimit = QueueLimit(),
        initializer: (@Sendable () throws -> Void)? = nil
    ) throws {
        var specification = WorkerSpecification(count: try Self.checkedCount(processes ?? availableCPUCount))
        specification.maximumTasks = try maxTasksPerChild.map { try Self.checked($0, "maxTasksPerChild") }
        specification.maximumMemory = try maxMemoryPerChild.map { try Self.checked($0, "maxMemoryPerChild") }
        if isolation == .perTask { specification.isolatesTasks() }
        specification.startMethod = startMethod
        specification.name = "Pool\(ProcessIdentity.nextPoolNumber())"
        if let initializer {
            specification.initializer = try FunctionTable().function(
                PortableFunction(action: initializer),
                isMapping: false
            )
        }
        try self.init(LocalEngine(), specification, queueLimit)
    }

    init(
        _ engine: any ExecutionEngine,
        _ specification: WorkerSpecification,
        _ limit: QueueLimit = QueueLimit()
    ) throws {
        try limit.check()
        core = try PoolCore(engine, specification, limit)
    }

    /// Returns `number` if it is at least 1.
    static func checked(_ number: Int, _ name: String) throws -> Int {
        guard number >= 1 else { throw PoolError(.invalidArgument, "\(name) is \(number), and must be at least 1") }
        return number
    }

    /// Returns how many workers there are to be, if so many can be: each needs its memory, its socket and its pidfd here, which are descriptors.
    private static func checkedCount(_ processes: Int) throws -> Int {
        let most = OpenFiles.limit / 3
        guard try checked(processes, "processes") <= most else {
            throw PoolError(
                .invalidArgument,
                "processes is \(processes), and this process may have the descriptors for \(most) (RLIMIT_NOFILE)"
            )
        }
        return processes
    }

    deinit {
        core.terminate()
    }

    // MARK: - The end

    /// Accepts no further calls. Those that were made are done; then the workers end. Returns at once.
    public func close() {
        core.close()
    }

    /// Ends the workers and fails every call that has no outcome yet with `PoolError` (`terminated`). Returns at once.
    public func terminate() {
        core.terminate()
    }

    /// Blocks until all workers have ended, after `close()` or `terminate()`. After `close()` that takes until the results of lazy maps (`imap`) were taken, or the maps dropped: who takes them reads their input.
    ///
    /// - Throws: `PoolError` (`stillRunning`) before either.
    @available(*, noasync)
    public func join() throws {
        try core.checkJoinable()
        _ = core.gone.wait(until: .never)
    }

    /// Suspends until all workers have ended, after `close()` or `terminate()`. After `close()` that takes until the results of lazy maps (`imap`) were taken, or the maps dropped: who takes them reads their input.
    ///
    /// - Throws: `PoolError` (`stillRunning`) before either; `CancellationError`.
    public func join() async throws {
        try core.checkJoinable()
        _ = try await core.gone.wait(until: .never, on: Runtime.shared().reactor)
    }

    // MARK: - What it is doing

    /// What the pool has done and is doing, at this moment.
    public var statistics: PoolStatistics { core.statistics }

    /// How many workers there are to be. Workers too many end after what they are doing; new ones are started at once.
    ///
    /// - Throws: `PoolError` (`invalidArgument`) for a number below 1, or for which this process may not have the descriptors.
    public func resize(processes: Int) throws {
        let count = try Self.checkedCount(processes)
        try core.checkProcess()
        core.withLock { core.session.scale(to: count) }
        core.ensureThread()
    }

    /// The same as ``resize(processes:)``, under the name that all pools have for it.
    public func resize(workers: Int) throws {
        try resize(processes: workers)
    }
}
