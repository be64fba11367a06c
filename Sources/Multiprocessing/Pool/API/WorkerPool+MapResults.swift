// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` for each of `items` in the workers, blocks until all are done, and returns an outcome for each, in the order of the items.
    @available(*, noasync)
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>] {
        try mapResults(items, chunkSize: chunkSize, options: options, progress: progress, function)
    }

    /// Calls `function` for each of `items` in the workers and returns an outcome for each, without blocking a thread. Cancelling the task ends the calls.
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await mapResults(items, chunkSize: chunkSize, options: options, progress: progress, function)
    }

    /// Calls the asynchronous `function` for each of `items` in the workers and returns an outcome for each. Cancelling the task ends the calls.
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await mapResults(items, chunkSize: chunkSize, options: options, progress: progress, function)
    }

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    @available(*, noasync)
    public func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [Result<R, any Error>] {
        try mapResults(items, with: context, chunkSize: chunkSize, options: options, progress: progress, function)
    }

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    public func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await mapResults(items, with: context, chunkSize: chunkSize, options: options, progress: progress, function)
    }

    /// As `mapResults`, with a value that every call gets and that is sent once to each worker.
    public func mapResults<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await mapResults(items, with: context, chunkSize: chunkSize, options: options, progress: progress, function)
    }
}
