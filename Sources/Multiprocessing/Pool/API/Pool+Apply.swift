// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension Pool {
    // MARK: - Functions with a result

    /// Calls `function` with `arguments` in a worker, blocks until it has returned, and returns its result.
    ///
    /// - Throws: what the function throws, as its own type where that is `Codable`, else as `RemoteError`; ``WorkerLost`` when its worker died; `TimeoutError` when it took longer than `options` allow;
    ///   `FunctionNotPortable` and what encoding throws, before anything is done; ``PoolError``.
    @available(*, noasync)
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R {
        try result(PortableFunction(function), options, Callbacks(), arguments: repeat each arguments).get()
    }

    /// Calls `function` with `arguments` in a worker and returns its result, without blocking a thread. Cancelling the task ends the call.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await result(PortableFunction(function), options, repeat each arguments).value
    }

    /// Calls the asynchronous `function` with `arguments` in a worker and returns its result. Cancelling the task ends the call.
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) async throws -> R {
        try await result(PortableFunction(function), options, repeat each arguments).value
    }

    /// Calls `function` with `arguments` in a worker; the result is there later.
    ///
    /// The arguments are encoded before it returns. It blocks while the pool's queue is full (``QueueLimit``); `trySubmit` does not.
    ///
    /// - Parameters:
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the result on the pool's own thread; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the error instead.
    ///   - function: Called in a worker.
    ///   - arguments: What `function` is called with.
    /// - Throws: `FunctionNotPortable` and what encoding throws; ``PoolError``. What goes wrong later, the result throws.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        let result: AsyncResult<R> = try result(
            PortableFunction(function),
            options,
            Callbacks(onSuccess: onSuccess, onFailure: onFailure),
            arguments: repeat each arguments
        )
        core.leaveToThreadSoon()
        return result
    }

    /// Calls the asynchronous `function` with `arguments` in a worker; the result is there later.
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable (R) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) throws -> AsyncResult<R> {
        let result: AsyncResult<R> = try result(
            PortableFunction(function),
            options,
            Callbacks(onSuccess: onSuccess, onFailure: onFailure),
            arguments: repeat each arguments
        )
        core.leaveToThreadSoon()
        return result
    }

    // MARK: - Functions without a result

    /// Calls `function` with `arguments` in a worker and blocks until it has returned.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) throws {
        try procedure(PortableFunction(procedure: function), options, Callbacks(), arguments: repeat each arguments)
            .get()
    }

    /// Calls `function` with `arguments` in a worker, without blocking a thread. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) async throws {
        try await procedure(PortableFunction(procedure: function), options, repeat each arguments).value
    }

    /// Calls the asynchronous `function` with `arguments` in a worker. Cancelling the task ends the call.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func apply<each A: Codable & Sendable>(
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) async throws {
        try await procedure(PortableFunction(procedure: function), options, repeat each arguments).value
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
        let result = try procedure(
            PortableFunction(procedure: function),
            options,
            Callbacks(calling: onSuccess, onFailure),
            arguments: repeat each arguments
        )
        core.leaveToThreadSoon()
        return result
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
        let result = try procedure(
            PortableFunction(procedure: function),
            options,
            Callbacks(calling: onSuccess, onFailure),
            arguments: repeat each arguments
        )
        core.leaveToThreadSoon()
        return result
    }

    // MARK: - Submitting

    private func result<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ callbacks: Callbacks<R>,
        arguments: repeat each A
    ) throws -> AsyncResult<R> {
        try submit(function, options, callbacks, input(repeat each arguments), R.self)
    }

    private func procedure<each A: Codable & Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ callbacks: Callbacks<Void>,
        arguments: repeat each A
    ) throws -> AsyncResult<Void> {
        try submit(function, options, callbacks, input(repeat each arguments), nil)
    }

    private func result<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ arguments: repeat each A
    ) async throws -> AsyncResult<R> {
        let input = try input(repeat each arguments)
        let result: AsyncResult<R> = try prepare(function, options, Callbacks(), input, R.self)
        try await core.submit(result.job, isComplete: true)
        return result
    }

    private func procedure<each A: Codable & Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ arguments: repeat each A
    ) async throws -> AsyncResult<Void> {
        let input = try input(repeat each arguments)
        let result: AsyncResult<Void> = try prepare(function, options, Callbacks(), input, nil)
        try await core.submit(result.job, isComplete: true)
        return result
    }

    /// Encodes the arguments of one call.
    func input<each A: Codable & Sendable>(_ arguments: repeat each A) throws -> CallInput {
        try CallInput(for: core) { writer, userInfo in
            repeat try WireCoding.encode(each arguments, into: &writer, userInfo: userInfo)
        }
    }

    private func submit<R: Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ callbacks: Callbacks<R>,
        _ input: CallInput,
        _ type: (any (Decodable & Sendable).Type)?
    ) throws -> AsyncResult<R> {
        let result: AsyncResult<R> = try prepare(function, options, callbacks, input, type)
        try core.submit(result.job, isComplete: true)
        return result
    }

    /// Makes the job of one call, and what will be its result.
    ///
    /// - Parameter type: `R`, or nil where that is `Void`.
    func prepare<R: Sendable>(
        _ function: PortableFunction,
        _ options: TaskOptions,
        _ callbacks: Callbacks<R>,
        _ input: CallInput,
        _ type: (any (Decodable & Sendable).Type)?
    ) throws -> AsyncResult<R> {
        try options.check()
        try core.checkProcess()
        let job = PoolJob(
            try core.functions.function(function, isMapping: false),
            options,
            failsFast: true,
            isElementwise: false,
            isCall: true
        )
        job.take(input)
        let result = AsyncResult<R>(core, job, keeping: self, call: type)
        result.call(callbacks)
        return result
    }
}

/// What is to be called with the outcome of a call.
struct Callbacks<R: Sendable>: Sendable {
    var onSuccess: (@Sendable (R) -> Void)?
    var onFailure: (@Sendable (any Error) -> Void)?
}

extension Callbacks where R == Void {
    /// Callbacks of a call without a result.
    init(calling onSuccess: (@Sendable () -> Void)?, _ onFailure: (@Sendable (any Error) -> Void)?) {
        var wrapped: (@Sendable (R) -> Void)?
        if let onSuccess { wrapped = { _ in onSuccess() } }
        self.init(onSuccess: wrapped, onFailure: onFailure)
    }
}
