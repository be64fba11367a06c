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
    /// - Throws: the first error that a call throws, without waiting for the others: no more are begun, and those that run go on to their end, of which nobody hears; `TimeoutError`; ``PoolError``.
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
}
