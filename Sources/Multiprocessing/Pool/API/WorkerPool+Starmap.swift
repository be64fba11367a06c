// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` with each of `arguments`, tuples of what it takes, in the workers, blocks until all are done, and returns the results in their order.
    @available(*, noasync)
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> [R] {
        try starmap(arguments, chunkSize: chunkSize, options: options, function)
    }

    /// Calls `function` with each of `arguments` in the workers and returns the results in their order, without blocking a thread. Cancelling the task ends the calls.
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) async throws -> [R] {
        try await starmap(arguments, chunkSize: chunkSize, options: options, function)
    }

    /// Calls the asynchronous `function` with each of `arguments` in the workers and returns the results in their order. Cancelling the task ends the calls.
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) async throws -> [R] {
        try await starmap(arguments, chunkSize: chunkSize, options: options, function)
    }

    /// Calls `function` with each of `arguments` in the workers; the results are there later, in their order.
    public func starmapAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> AsyncResult<[R]> {
        try starmapAsync(
            arguments,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
    }

    /// Calls the asynchronous `function` with each of `arguments` in the workers; the results are there later, in their order.
    public func starmapAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) throws -> AsyncResult<[R]> {
        try starmapAsync(
            arguments,
            chunkSize: chunkSize,
            options: options,
            onSuccess: onSuccess,
            onFailure: onFailure,
            function
        )
    }
}
