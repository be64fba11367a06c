// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    public func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(options: options, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    public func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(options: options, function, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>? {
        try trySubmit(options: options, function, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>? {
        try trySubmit(options: options, function, repeat each arguments)
    }
}
