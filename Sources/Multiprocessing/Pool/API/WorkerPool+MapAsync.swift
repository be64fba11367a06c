// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` for each of `items` in the workers; the results are there later, in the order of the items.
    public func mapAsync<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]> {
        try mapAsync(
            items,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
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
        try mapAsync(
            items,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
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
        try mapAsync(
            items,
            with: context,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
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
        try mapAsync(
            items,
            with: context,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
    }
}
