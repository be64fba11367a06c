// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

extension Pool {
    // MARK: - mapResults

    /// Calls `function` for each of `items` in the workers, blocks until all are done, and returns an outcome for each, in the order of the items.
    ///
    /// An error, a worker that dies (``WorkerLost``), or a call that takes longer than `options` allow (`TimeoutError`) is the outcome of its item alone, also inside a chunk; the others are carried out.
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - progress: Who is told how many items are done.
    ///   - function: Called once for each item.
    /// - Throws: what concerns all items: `FunctionNotPortable` and what encoding throws; ``PoolError``.
    @available(*, noasync)
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>] {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function), isElementwise: true)
            .runEach(items, progress: progress).get()
    }

    /// Calls `function` for each of `items` in the workers and returns an outcome for each, without blocking a thread. Cancelling the task ends the calls.
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function), isElementwise: true)
            .runEach(items, progress: progress).value
    }

    /// Calls the asynchronous `function` for each of `items` in the workers and returns an outcome for each. Cancelling the task ends the calls.
    public func mapResults<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function), isElementwise: true)
            .runEach(items, progress: progress).value
    }

    // MARK: - mapResults with a context

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
        try Mapping<T, R>(
            self,
            chunkSize,
            options,
            PortableFunction(function),
            with: context,
            isElementwise: true
        ).runEach(items, progress: progress).get()
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
        try await Mapping<T, R>(
            self,
            chunkSize,
            options,
            PortableFunction(function),
            with: context,
            isElementwise: true
        ).runEach(items, progress: progress).value
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
        try await Mapping<T, R>(
            self,
            chunkSize,
            options,
            PortableFunction(function),
            with: context,
            isElementwise: true
        ).runEach(items, progress: progress).value
    }
}
