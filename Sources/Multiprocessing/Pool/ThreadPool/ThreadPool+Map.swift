// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
    // MARK: - map

    /// Calls `function` for each of `items` on the pool's threads, blocks until all are done, and returns the results in the order of the items.
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a thread gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - progress: Who is told how far it has come.
    ///   - function: Called once for each item.
    /// - Throws: the first error that a call throws, without waiting for the others, of which no more are begun; `TimeoutError`; ``PoolError``.
    @available(*, noasync)
    public func map<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [R] {
        try DirectMapping(self, chunkSize, options, function).run(items, progress: progress).get()
    }

    /// Calls `function` for each of `items` on the pool's threads and returns the results in the order of the items, without blocking a thread of Swift's. Cancelling the task ends the calls.
    public func map<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [R] {
        try await DirectMapping(self, chunkSize, options, function).run(items, progress: progress).value
    }

    /// Calls the asynchronous `function` for each of `items`, as many at a time as there are threads, and returns the results in the order of the items. Cancelling the task cancels the calls.
    public func map<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [R] {
        try await DirectMapping(self, chunkSize, options, function).run(items, progress: progress).value
    }

    // MARK: - map with a context

    /// As `map`, with a value that every call gets.
    @available(*, noasync)
    public func map<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [R] {
        try map(items, chunkSize: chunkSize, options: options, progress: progress) { item throws -> R in
            try function(item, context)
        }
    }

    /// As `map`, with a value that every call gets.
    public func map<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [R] {
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return try await DirectMapping(self, chunkSize, options, body).run(items, progress: progress).value
    }

    /// As `map`, with a value that every call gets.
    public func map<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [R] {
        let body: @Sendable (T) async throws -> R = { try await function($0, context) }
        return try await DirectMapping(self, chunkSize, options, body).run(items, progress: progress).value
    }

    // MARK: - mapAsync

    /// Calls `function` for each of `items`; the results are there later.
    ///
    /// - Parameters:
    ///   - items: What `function` is called for.
    ///   - chunkSize: How many items a thread gets at a time; nil: as many as suit how long they take.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - onSuccess: Called with the results on a thread of the pool's own; it should be quick, since all callbacks of the pool are called there, one after the other.
    ///   - onFailure: Called with the error instead.
    ///   - function: Called on one of the threads.
    public func mapAsync<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let result = try DirectMapping(self, chunkSize, options, function).run(items, callbacks)
        core.leaveToThreadSoon()
        return result
    }

    /// Calls the asynchronous `function` for each of `items`; the results are there later.
    public func mapAsync<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let result = try DirectMapping(self, chunkSize, options, function).run(items, callbacks)
        core.leaveToThreadSoon()
        return result
    }

    // MARK: - mapResults

    /// As `map`, but each item has an outcome of its own: what one throws, or that it takes too long, is that item's alone.
    @available(*, noasync)
    public func mapResults<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) throws -> [Result<R, any Error>] {
        try DirectMapping(self, chunkSize, options, isElementwise: true, function).runEach(items, progress: progress)
            .get()
    }

    /// As `map`, but each item has an outcome of its own.
    public func mapResults<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await DirectMapping(self, chunkSize, options, isElementwise: true, function).runEach(
            items,
            progress: progress
        ).value
    }

    /// As `map`, but each item has an outcome of its own.
    public func mapResults<T: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) async throws -> [Result<R, any Error>] {
        try await DirectMapping(self, chunkSize, options, isElementwise: true, function).runEach(
            items,
            progress: progress
        ).value
    }

    // MARK: - starmap

    /// As `map`, for a function of several parameters: each item is a tuple of its arguments.
    @available(*, noasync)
    public func starmap<each A: Sendable, R: Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> [R] {
        let body: @Sendable (SendableBox<(repeat each A)>) throws -> R = { try function(repeat each $0.value) }
        return try DirectMapping(self, chunkSize, options, body).run(arguments.map { SendableBox($0) }).get()
    }

    /// As `map`, for a function of several parameters: each item is a tuple of its arguments.
    public func starmap<each A: Sendable, R: Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) async throws -> [R] {
        let body: @Sendable (SendableBox<(repeat each A)>) throws -> R = { try function(repeat each $0.value) }
        return try await DirectMapping(self, chunkSize, options, body).run(arguments.map { SendableBox($0) }).value
    }

    /// As `map`, for an asynchronous function of several parameters: each item is a tuple of its arguments.
    public func starmap<each A: Sendable, R: Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) async throws -> [R] {
        let body: @Sendable (SendableBox<(repeat each A)>) async throws -> R = { box in
            try await function(repeat each box.value)
        }
        return try await DirectMapping(self, chunkSize, options, body).run(arguments.map { SendableBox($0) }).value
    }
}
