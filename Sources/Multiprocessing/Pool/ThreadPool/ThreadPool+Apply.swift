// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
    // MARK: - apply

    /// Calls `function` with `arguments` on one of the pool's threads, blocks until it has returned, and returns its result.
    ///
    /// - Throws: what the function throws; `TimeoutError` when it takes longer than `options` allow; ``PoolError``.
    @available(*, noasync)
    public func apply<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R {
        try call(options, Callbacks(), Self.bind(function, repeat each arguments)).get()
    }

    /// Calls `function` with `arguments` on one of the pool's threads and returns its result, without blocking a thread of Swift's. Cancelling the task ends the call.
    public func apply<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await call(options, Callbacks(), Self.bind(function, repeat each arguments)).value
    }

    /// Calls the asynchronous `function` with `arguments`, keeping one of the pool's threads busy meanwhile, and returns its result. Cancelling the task cancels the call.
    public func apply<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await call(options, Callbacks(), Self.bind(function, repeat each arguments)).value
    }

    // MARK: - applyAsync

    /// Calls `function` with `arguments` on one of the pool's threads; the result is there later.
    ///
    /// - Parameters:
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the result on a thread of the pool's own; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the error instead.
    ///   - function: Called on one of the threads.
    ///   - arguments: What `function` is called with.
    public func applyAsync<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let result = try call(options, callbacks, Self.bind(function, repeat each arguments))
        core.leaveToThreadSoon()
        return result
    }

    /// Calls the asynchronous `function` with `arguments`; the result is there later.
    public func applyAsync<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let result = try call(options, callbacks, Self.bind(function, repeat each arguments))
        core.leaveToThreadSoon()
        return result
    }

    // MARK: - Submitting

    private static func bind<each A: Sendable, R: Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) -> DirectFunction {
        .sync { _ in try function(repeat each arguments) }
    }

    private static func bind<each A: Sendable, R: Sendable>(
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) -> DirectFunction {
        .async { _ in try await function(repeat each arguments) }
    }

    private func call<R: Sendable>(
        _ options: TaskOptions,
        _ callbacks: Callbacks<R>,
        _ function: DirectFunction
    ) throws -> AsyncResult<R> {
        let job = PoolJob(TaskFunction(function), options, failsFast: true, isElementwise: false)
        let block = TaskInput.Block()
        block.append(())
        job.take(block)
        let result = AsyncResult(core, job) { job throws -> R in
            guard !job.answers.isEmpty, let value = try job.answers.values(0).first as? R else {
                throw PoolError(.engine, "a call has ended without an answer")
            }
            return value
        }
        result.call(callbacks)
        try core.submit(job, isComplete: true)
        return result
    }
}
