// SPDX-License-Identifier: Apache-2.0
//
// The requirements are the methods of the pools with all their parameters; what comes with defaults in the pools, a protocol can offer only as further methods, which are in the extension.

/// Workers that call functions: what ``Pool`` (processes) and ``ThreadPool`` (threads) have in common, so that a function can take either.
///
/// ```swift
/// func total(of files: [String], on pool: some WorkerPool) throws -> Int {
///     try pool.map(files) { try size(of: $0) }.reduce(0, +)
/// }
/// ```
///
/// Whether a task can crash without harm, be ended, and give its memory back depends on the pool; what is passed has to be able to cross between processes.
public protocol WorkerPool: AnyObject, Sendable {
    /// Calls `function` for each of `items`, blocks until all are done, and returns the results in the order of the items.
    @available(*, noasync)
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [R]

    /// Calls `function` for each of `items` and returns the results in the order of the items, without blocking a thread.
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [R]

    /// Calls the asynchronous `function` for each of `items` and returns the results in the order of the items.
    func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [R]

    /// As `map`, with a value that every call gets.
    @available(*, noasync)
    func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [R]

    /// As `map`, with a value that every call gets, without blocking a thread.
    func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [R]

    /// Calls `function` for each of `items`, blocks until all are done, and returns an outcome for each, in their order.
    @available(*, noasync)
    func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>]

    /// Calls `function` for each of `items`, lazily; the results come one by one, in the order of the items.
    func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R>

    /// As `imap`, but the results come in the order in which they are there.
    func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int?,
        bufferSize: Int?,
        options: TaskOptions,
        progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R>

    /// Calls `function` with `arguments`, blocks until it has returned, and returns its result.
    @available(*, noasync)
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R

    /// Calls `function` with `arguments` and returns its result, without blocking a thread.
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R

    /// Calls the asynchronous `function` with `arguments` and returns its result.
    func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R

    /// Calls `function` with `arguments`; the result is there later.
    func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable (R) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>

    /// Calls the asynchronous `function` with `arguments`; the result is there later.
    func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions,
        onSuccess: (@Sendable (R) -> Void)?,
        onFailure: (@Sendable (any Error) -> Void)?,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>

    /// Accepts no further calls; those that were made are done. Returns at once.
    func close()
    /// Fails every call that has no outcome yet. Returns at once.
    func terminate()
    /// Blocks until all workers have ended, after `close()` or `terminate()`.
    @available(*, noasync)
    func join() throws
    /// Suspends until all workers have ended, after `close()` or `terminate()`.
    func join() async throws
    /// What the pool has done and is doing, at this moment.
    var statistics: PoolStatistics { get }
}

extension Pool: WorkerPool {}

extension WorkerPool {
    /// Calls `function` for each of `items`, blocks until all are done, and returns the results in the order of the items.
    @available(*, noasync)
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [R] {
        try map(items, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// Calls `function` for each of `items` and returns the results in the order of the items, without blocking a thread.
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [R] {
        try await map(items, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// Calls the asynchronous `function` for each of `items` and returns the results in the order of the items.
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [R] {
        try await map(items, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// As `map`, with a value that every call gets.
    @available(*, noasync)
    public func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [R] {
        try map(items, with: context, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// As `map`, with a value that every call gets, without blocking a thread.
    public func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [R] {
        try await map(items, with: context, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// Calls `function` for each of `items`, blocks until all are done, and returns an outcome for each, in their order.
    @available(*, noasync)
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>] {
        try mapResults(items, chunkSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// Calls `function` for each of `items`, lazily; the results come one by one, in the order of the items.
    public func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        imap(items, chunkSize: nil, bufferSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// As `imap`, but the results come in the order in which they are there.
    public func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        imapUnordered(items, chunkSize: nil, bufferSize: nil, options: TaskOptions(), progress: nil, function)
    }

    /// Calls `function` with `arguments`, blocks until it has returned, and returns its result.
    @available(*, noasync)
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R {
        try apply(options: TaskOptions(), function, repeat each arguments)
    }

    /// Calls `function` with `arguments` and returns its result, without blocking a thread.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await apply(options: TaskOptions(), function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` and returns its result.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await apply(options: TaskOptions(), function, repeat each arguments)
    }

    /// Calls `function` with `arguments`; the result is there later.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        try applyAsync(options: TaskOptions(), onSuccess: nil, onFailure: nil, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments`; the result is there later.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        try applyAsync(options: TaskOptions(), onSuccess: nil, onFailure: nil, function, repeat each arguments)
    }
}
