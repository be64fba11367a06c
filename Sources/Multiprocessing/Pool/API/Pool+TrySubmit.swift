// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

extension Pool {
    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    ///
    /// The other calls wait for room. A server that would rather refuse work than let it pile up asks with this one.
    ///
    /// - Returns: nil when as many tasks, or as many bytes of arguments, wait as the pool's ``QueueLimit`` allows.
    /// - Throws: `FunctionNotPortable` and what encoding throws; ``PoolError``. What goes wrong later, the result throws.
    public func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(PortableFunction(function), options, repeat each arguments)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; the result is there later.
    public func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(PortableFunction(function), options, repeat each arguments)
    }

    /// Calls `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>? {
        try trySubmit(PortableFunction(procedure: function), options, input(repeat each arguments), nil)
    }

    /// Calls the asynchronous `function` with `arguments` in a worker, unless the pool's queue is full; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func trySubmit<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void>? {
        try trySubmit(PortableFunction(procedure: function), options, input(repeat each arguments), nil)
    }

    private func trySubmit<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(function, options, input(repeat each arguments), R.self)
    }

    private func trySubmit<R: Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ input: CallInput,
        _ type: (any (Decodable & Sendable).Type)?
    ) throws -> AsyncResult<R>? {
        let prepared: AsyncResult<R> = try prepare(function, options, Callbacks(), input, type)
        guard try core.trySubmit(prepared.job, isComplete: true) else { return nil }
        core.leaveToThreadSoon()
        return prepared
    }
}
