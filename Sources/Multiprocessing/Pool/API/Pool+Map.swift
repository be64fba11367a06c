// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension Pool {
    // MARK: - map

    /// Calls `function` for each of `items` in the workers, blocks until all are done, and returns the results in the order of the items.
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - progress: Who is told how many items are done.
    ///   - function: Called once for each item.
    /// - Throws: the first error that a call throws, as its own type where that is `Codable`, else as `RemoteError`, without waiting for the others: no more are begun, and those that run go on to their end, of
    ///   which nobody hears (one that hangs keeps its worker until its time limit, if it has one); ``WorkerLost``; `TimeoutError`;
    ///   `FunctionNotPortable` and what encoding throws; ``PoolError``.
    @available(*, noasync)
    @inlinable  // so that the items are put into an array where their type is known
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [R] {
        try mapping(Array(items), chunkSize, options, progress, function).get()
    }

    /// Calls `function` for each of `items` in the workers and returns the results in the order of the items, without blocking a thread. Cancelling the task ends the calls.
    @inlinable
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [R] {
        try await mapping(Array(items), chunkSize, options, progress, function).value
    }

    /// Calls the asynchronous `function` for each of `items` in the workers, and returns the results in the order of the items. Cancelling the task ends the calls.
    @inlinable
    public func map<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [R] {
        try await mapping(Array(items), chunkSize, options, progress, function).value
    }

    // MARK: - map with a context

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    @available(*, noasync)
    @inlinable  // so that the items are put into an array where their type is known
    public func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [R] {
        try mapping(Array(items), context, chunkSize, options, progress, function).get()
    }

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    @inlinable
    public func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [R] {
        try await mapping(Array(items), context, chunkSize, options, progress, function).value
    }

    /// As `map`, with a value that every call gets and that is sent once to each worker.
    @inlinable
    public func map<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [R] {
        try await mapping(Array(items), context, chunkSize, options, progress, function).value
    }

    // MARK: - Submitting

    @usableFromInline
    func mapping<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function)).run(items, progress: progress)
    }

    @usableFromInline
    func mapping<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> AsyncResult<[R]> {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function)).run(items, progress: progress)
    }

    @usableFromInline
    func mapping<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> AsyncResult<[R]> {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function)).run(items, progress: progress)
    }

    @usableFromInline
    func mapping<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ context: C,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> AsyncResult<[R]> {
        try Mapping<T, R>(self, chunkSize, options, PortableFunction(function), with: context).run(
            items,
            progress: progress
        )
    }

    @usableFromInline
    func mapping<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ context: C,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> AsyncResult<[R]> {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function), with: context).run(
            items,
            progress: progress
        )
    }

    @usableFromInline
    func mapping<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: [T],
        _ context: C,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> AsyncResult<[R]> {
        try await Mapping<T, R>(self, chunkSize, options, PortableFunction(function), with: context).run(
            items,
            progress: progress
        )
    }
}
