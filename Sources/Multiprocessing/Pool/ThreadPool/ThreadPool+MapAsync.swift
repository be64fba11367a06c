// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
    // MARK: - mapAsync

    /// Calls `function` for each of `items`; the results are there later.
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a thread gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the results on a thread of the pool's own; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the error instead.
    ///   - function: Called on one of the threads.
    public func mapAsync<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        return try DirectMapping(self, chunkSize, options, function).start(items, callbacks)
    }

    /// Calls the asynchronous `function` for each of `items`; the results are there later.
    public func mapAsync<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        return try DirectMapping(self, chunkSize, options, function).start(items, callbacks)
    }

    // MARK: - mapAsync with a context

    /// As `mapAsync`, with a value that every call gets.
    public func mapAsync<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return try DirectMapping(self, chunkSize, options, body).start(items, callbacks)
    }

    /// As `mapAsync`, with a value that every call gets.
    public func mapAsync<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let body: @Sendable (T) async throws -> R = { try await function($0, context) }
        return try DirectMapping(self, chunkSize, options, body).start(items, callbacks)
    }
}
