// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` with `arguments` in a worker, blocks until it has returned, and returns its result.
    @available(*, noasync)
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R {
        try apply(options: options, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker and returns its result, without blocking a thread. Cancelling the task ends the call.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await apply(options: options, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker and returns its result. Cancelling the task ends the call.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await apply(options: options, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker; the result is there later.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        try applyAsync(options: options, onSuccess: onSuccess, onFailure: onFailure, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker; the result is there later.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        try applyAsync(options: options, onSuccess: onSuccess, onFailure: onFailure, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker and blocks until it has returned.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws {
        try apply(options: options, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker, without blocking a thread. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) async throws {
        try await apply(options: options, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) async throws {
        try await apply(options: options, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func applyAsync<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable () -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void> {
        try applyAsync(options: options, onSuccess: onSuccess, onFailure: onFailure, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func applyAsync<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable () -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void> {
        try applyAsync(options: options, onSuccess: onSuccess, onFailure: onFailure, function, repeat each arguments)
    }
}
