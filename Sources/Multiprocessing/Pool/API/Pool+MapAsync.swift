// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

extension Pool {
    // MARK: - mapAsync

    /// Calls `function` for each of `items` in the workers; the results are there later, in the order of the items.
    ///
    /// The items are encoded before it returns. It blocks while the pool's queue is full (``QueueLimit``; of its own accord a million waiting tasks or a gibibyte of arguments).
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the results on the pool's own thread; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the first error instead.
    ///   - function: Called in a worker.
    /// - Throws: `FunctionNotPortable` and what encoding throws; ``PoolError``. What goes wrong later, the result throws.
    public func mapAsync<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function))
            .start(items, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
    }

    /// Calls the asynchronous `function` for each of `items` in the workers; the results are there later.
    public func mapAsync<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function))
            .start(items, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
    }

    /// As `mapAsync`, with a value that every call gets and that is sent once to each worker.
    public func mapAsync<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function), with: context)
            .start(items, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
    }

    /// As `mapAsync`, with a value that every call gets and that is sent once to each worker.
    public func mapAsync<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function), with: context)
            .start(items, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
    }
}

extension Mapping {
    /// Submits the items for a caller that does not wait.
    func start(_ items: some Collection<T>, _ callbacks: Callbacks<[R]>) throws -> AsyncResult<[R]> {
        let result = try run(items, callbacks)
        core.leaveToThreadSoon()
        return result
    }
}
