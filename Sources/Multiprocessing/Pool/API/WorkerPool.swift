// SPDX-License-Identifier: Apache-2.0
//
// The requirements are the methods of the pools with all their parameters. A protocol cannot name defaults, so `WorkerPool+….swift` offers the same methods with them; each calls its requirement.

/// Workers that call functions: what ``Pool`` (processes) and ``ThreadPool`` (threads) have in common, so that a function can take either.
///
/// ```swift
/// func total(of files: [String], on pool: some WorkerPool) throws -> Int {
///     try pool.map(files, chunkSize: 4) { try size(of: $0) }.reduce(0, +)
/// }
/// ```
///
/// All calls of the pools are here, with the defaults that they have there. Whether a task can crash without harm, be ended, and give its memory back depends on the pool; what is passed has to be able to cross between processes.
/// Only the pools of this package conform.
public protocol WorkerPool: AnyObject, Sendable {
    // MARK: - map

    /// Calls `function` for each of `items` in the workers, blocks until all are done, and returns the results in the order of the items.
    @available(*, noasync)
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [R]

    /// Calls `function` for each of `items` in the workers and returns the results in the order of the items, without blocking a thread. Cancelling the task ends the calls.
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [R]

    /// Calls the asynchronous `function` for each of `items` in the workers, and returns the results in the order of the items. Cancelling the task ends the calls.
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [R]

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    @available(*, noasync)
    func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [R]

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [R]

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [R]

    // MARK: - mapResults

    /// Calls `function` for each of `items` in the workers, blocks until all are done, and returns an outcome for each, in the order of the items.
    @available(*, noasync)
    func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>]

    /// Calls `function` for each of `items` in the workers and returns an outcome for each, without blocking a thread. Cancelling the task ends the calls.
    func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [Result<R, any Error>]

    /// Calls the asynchronous `function` for each of `items` in the workers and returns an outcome for each. Cancelling the task ends the calls.
    func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [Result<R, any Error>]

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    @available(*, noasync)
    func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [Result<R, any Error>]

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [Result<R, any Error>]

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [Result<R, any Error>]

    // MARK: - mapAsync

    /// Calls `function` for each of `items` in the workers; the results are there later, in the order of the items.
    func mapAsync<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]>

    /// Calls the asynchronous `function` for each of `items` in the workers; the results are there later.
    func mapAsync<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) throws -> AsyncResult<[R]>

    /// As `mapAsync`, with a value that every call gets and that is sent once to each worker.
    func mapAsync<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> AsyncResult<[R]>

    /// As `mapAsync`, with a value that every call gets and that is sent once to each worker.
    func mapAsync<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) throws -> AsyncResult<[R]>

    // MARK: - starmap

    /// Calls `function` with each of `arguments`, tuples of what it takes, in the workers, blocks until all are done, and returns the results in their order.
    @available(*, noasync)
    func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int?,
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> [R]

    /// Calls `function` with each of `arguments` in the workers and returns the results in their order, without blocking a thread. Cancelling the task ends the calls.
    func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int?,
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) async throws -> [R]

    /// Calls the asynchronous `function` with each of `arguments` in the workers and returns the results in their order. Cancelling the task ends the calls.
    func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int?,
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) async throws -> [R]

    /// Calls `function` with each of `arguments` in the workers; the results are there later, in their order.
    func starmapAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> AsyncResult<[R]>

    /// Calls the asynchronous `function` with each of `arguments` in the workers; the results are there later, in their order.
    func starmapAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int?,
        options: TaskOptions,
        onSuccess: (@Sendable ([R]) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) throws -> AsyncResult<[R]>

    // MARK: - imap

    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, in the order of the items.
    func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R>

    /// As `imap`, for a sequence, with an asynchronous `function`.
    func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R>

    /// As `imap`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    func imap<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R>

    /// As `imap`, for a sequence, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    func imap<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R>

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function`.
    func imap<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    func imap<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets, and that is sent once to each worker.
    func imap<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    func imap<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, as they come.
    func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R>

    /// As `imapUnordered`, for a sequence, with an asynchronous `function`.
    func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R>

    /// As `imapUnordered`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    func imapUnordered<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R>

    /// As `imapUnordered`, for a sequence, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    func imapUnordered<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R>

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function`.
    func imapUnordered<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    func imapUnordered<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets, and that is sent once to each worker.
    func imapUnordered<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    func imapUnordered<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable

    // MARK: - apply

    /// Calls `function` with `arguments` in a worker, blocks until it has returned, and returns its result.
    @available(*, noasync)
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R

    /// Calls `function` with `arguments` in a worker and returns its result, without blocking a thread. Cancelling the task ends the call.
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R

    /// Calls the asynchronous `function` with `arguments` in a worker and returns its result. Cancelling the task ends the call.
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R

    /// Calls `function` with `arguments` in a worker; the result is there later.
    func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable (R) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>

    /// Calls the asynchronous `function` with `arguments` in a worker; the result is there later.
    func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable (R) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>

    /// Calls `function` with `arguments` in a worker and blocks until it has returned.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the others
    func apply<each A: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws

    /// Calls `function` with `arguments` in a worker, without blocking a thread. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func apply<each A: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) async throws

    /// Calls the asynchronous `function` with `arguments` in a worker. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func apply<each A: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) async throws

    /// Calls `function` with `arguments` in a worker; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func applyAsync<each A: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable () -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>

    /// Calls the asynchronous `function` with `arguments` in a worker; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func applyAsync<each A: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable () -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>

    // MARK: - trySubmit

    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>?

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>?

    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>?

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>?

    // MARK: - The pool itself

    /// Accepts no further calls; those that were made are done. Returns at once.
    func close()
    /// Fails every call that has no outcome yet. Returns at once.
    func terminate()
    /// Blocks until all workers have ended, after `close()` or `terminate()`.
    @available(*, noasync)
    func join() throws
    /// Suspends until all workers have ended, after `close()` or `terminate()`.
    func join() async throws
    /// Changes how many workers there are to be. Workers too many end after what they are doing; new ones are started at once.
    func resize(workers: Int) throws
    /// What the pool has done and is doing, at this moment.
    var statistics: PoolStatistics { get }
}

extension Pool: WorkerPool {}
