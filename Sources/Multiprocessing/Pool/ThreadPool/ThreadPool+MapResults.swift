// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
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

    // MARK: - mapResults with a context

    /// As `mapResults`, with a value that every call gets.
    @available(*, noasync)
    public func mapResults<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) throws -> [Result<R, any Error>] {
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return try DirectMapping(self, chunkSize, options, isElementwise: true, body)
            .runEach(items, progress: progress).get()
    }

    /// As `mapResults`, with a value that every call gets.
    public func mapResults<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) async throws -> [Result<R, any Error>] {
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return try await DirectMapping(self, chunkSize, options, isElementwise: true, body)
            .runEach(items, progress: progress).value
    }

    /// As `mapResults`, with a value that every call gets.
    public func mapResults<T: Sendable, C: Sendable, R: Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) async throws -> [Result<R, any Error>] {
        let body: @Sendable (T) async throws -> R = { try await function($0, context) }
        return try await DirectMapping(self, chunkSize, options, isElementwise: true, body)
            .runEach(items, progress: progress).value
    }
}
