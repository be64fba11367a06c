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
        try await result(options, Self.bind(function, repeat each arguments)).value
    }

    /// Calls the asynchronous `function` with `arguments`, keeping one of the pool's threads busy meanwhile, and returns its result. Cancelling the task cancels the call.
    public func apply<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await result(options, Self.bind(function, repeat each arguments)).value
    }

    // MARK: - applyAsync

    /// Calls `function` with `arguments` on one of the pool's threads; the result is there later.
    ///
    /// It blocks while the pool's queue is full (``QueueLimit``); `trySubmit` does not.
    ///
    /// - Parameters:
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the result on a thread of the pool's own; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the error instead.
    ///   - function: Called on one of the threads.
    ///   - arguments: What `function` is called with.
    /// - Throws: ``PoolError``. What goes wrong later, the result throws.
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

    // MARK: - Functions without a result

    /// Calls `function` with `arguments` on one of the pool's threads; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func applyAsync<each A: Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable () -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void> {
        let callbacks = Callbacks<Void>(calling: onSuccess, onFailure)
        let result = try call(options, callbacks, Self.bind(function, repeat each arguments))
        core.leaveToThreadSoon()
        return result
    }

    /// Calls the asynchronous `function` with `arguments`; that it has returned is known later.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func applyAsync<each A: Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable () -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) throws -> AsyncResult<Void> {
        let callbacks = Callbacks<Void>(calling: onSuccess, onFailure)
        let result = try call(options, callbacks, Self.bind(function, repeat each arguments))
        core.leaveToThreadSoon()
        return result
    }

    // MARK: - trySubmit

    /// Calls `function` with `arguments` on one of the pool's threads, unless the pool's queue is full; the result is there later.
    ///
    /// - Returns: nil when as many tasks wait as the pool's ``QueueLimit`` allows.
    public func trySubmit<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(options, Self.bind(function, repeat each arguments))
    }

    /// Calls the asynchronous `function` with `arguments`, unless the pool's queue is full; the result is there later.
    public func trySubmit<each A: Sendable, R: Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R>? {
        try trySubmit(options, Self.bind(function, repeat each arguments))
    }

    private func trySubmit<R: Sendable>(_ options: TaskOptions, _ function: DirectFunction) throws -> AsyncResult<R>? {
        let prepared: AsyncResult<R> = try prepare(options, Callbacks(), function)
        guard try core.trySubmit(prepared.job, isComplete: true) else { return nil }
        core.leaveToThreadSoon()
        return prepared
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
        let result = try prepare(options, callbacks, function)
        try core.submit(result.job, isComplete: true)
        return result
    }

    /// Submits a call, suspended while the pool's queue is full.
    private func result<R: Sendable>(_ options: TaskOptions, _ function: DirectFunction) async throws -> AsyncResult<R>
    {
        let result: AsyncResult<R> = try prepare(options, Callbacks(), function)
        try await core.submit(result.job, isComplete: true)
        return result
    }

    /// Makes the job of one call, and what will be its result.
    private func prepare<R: Sendable>(
        _ options: TaskOptions,
        _ callbacks: Callbacks<R>,
        _ function: DirectFunction
    ) throws -> AsyncResult<R> {
        try options.check()
        let job = PoolJob(TaskFunction(function), options, failsFast: true, isElementwise: false)
        let block = TaskInput.Block()
        block.append(())
        job.take(block)
        let result = AsyncResult(core, job, keeping: self) { job throws -> R in
            guard !job.answers.isEmpty, let value = try job.answers.values(0).first as? R else {
                throw PoolError(.engine, "a call has ended without an answer")
            }
            return value
        }
        result.call(callbacks)
        return result
    }
}
