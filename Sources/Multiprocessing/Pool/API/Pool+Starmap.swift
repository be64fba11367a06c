// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

extension Pool {
    // MARK: - starmap

    /// Calls `function` with each of `arguments`, tuples of what it takes, in the workers, blocks until all are done, and returns the results in their order.
    ///
    /// ```swift
    /// try pool.starmap([(2, 5), (3, 2)], power)  // [32, 9]
    /// try pool.starmap(Array(zip(bases, exponents)), power)
    /// ```
    ///
    /// - Parameters:
    ///   - arguments: For each call a tuple of its arguments.
    ///   - chunkSize: How many calls a worker gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - function: Called once for each tuple.
    /// - Throws: as `map`.
    @available(*, noasync)
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> [R] {
        try starMapping(R.self, chunkSize, options, PortableFunction(function)).run(arguments).get()
    }

    /// Calls `function` with each of `arguments` in the workers and returns the results in their order, without blocking a thread. Cancelling the task ends the calls.
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) async throws -> [R] {
        let mapping: Mapping<(repeat each A), R> = try starMapping(
            R.self,
            chunkSize,
            options,
            PortableFunction(function)
        )
        return try await mapping.run(arguments).value
    }

    /// Calls the asynchronous `function` with each of `arguments` in the workers and returns the results in their order. Cancelling the task ends the calls.
    public func starmap<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) async throws -> [R] {
        let mapping: Mapping<(repeat each A), R> = try starMapping(
            R.self,
            chunkSize,
            options,
            PortableFunction(function)
        )
        return try await mapping.run(arguments).value
    }

    // MARK: - starmapAsync

    /// Calls `function` with each of `arguments` in the workers; the results are there later, in their order.
    ///
    /// The arguments are encoded before it returns. It blocks while the pool's queue is full (``QueueLimit``).
    ///
    /// - Parameters:
    ///   - arguments: For each call a tuple of its arguments.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the results on the pool's own thread; it should be quick.
    ///   - onFailure: Called with the first error instead.
    ///   - function: Called in a worker.
    /// - Throws: `FunctionNotPortable` and what encoding throws; ``PoolError``. What goes wrong later, the result throws.
    public func starmapAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> AsyncResult<[R]> {
        try starMapping(R.self, chunkSize, options, PortableFunction(function))
            .start(arguments, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
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
        try starMapping(R.self, chunkSize, options, PortableFunction(function))
            .start(arguments, Callbacks(onSuccess: onSuccess, onFailure: onFailure))
    }

    /// Prepares a job whose pieces are the arguments of one call each.
    private func starMapping<each A: Codable & Sendable, R: Codable & Sendable>(
        _: R.Type,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ function: PortableFunction
    ) throws -> Mapping<(repeat each A), R> {
        try Mapping(self, chunkSize, options, .calls(), function)
    }
}
