// SPDX-License-Identifier: Apache-2.0
//
// A map whose function returns nothing. It has a name of its own, as in the standard library: were it a `map` too, a closure whose result cannot be carried would be taken for one without a result, and the results be lost.

/// What a function without a result returns.
private struct Done: Codable, Sendable {
    /// Returns a function that does what `function` does, and has a result.
    static func after<T>(_ function: @escaping @Sendable (T) throws -> Void) -> @Sendable (T) throws -> Done {
        { item in
            try function(item)
            return Done()
        }
    }

    static func after<T>(
        _ function: @escaping @Sendable (T) async throws -> Void
    ) -> @Sendable (T) async throws -> Done {
        { item in
            try await function(item)
            return Done()
        }
    }

    static func after<T, C>(_ function: @escaping @Sendable (T, C) throws -> Void) -> @Sendable (T, C) throws -> Done {
        { item, context in
            try function(item, context)
            return Done()
        }
    }

    static func after<T, C>(
        _ function: @escaping @Sendable (T, C) async throws -> Void
    ) -> @Sendable (T, C) async throws -> Done {
        { item, context in
            try await function(item, context)
            return Done()
        }
    }
}

extension WorkerPool {
    /// Calls `function`, which returns nothing, for each of `items` in the workers, and blocks until all are done. What `function` changes, it changes in its worker, but for what is shared.
    ///
    /// - Parameters: As those of `map`.
    /// - Throws: As `map`.
    @available(*, noasync)
    public func forEach<T: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> Void
    ) throws {
        _ = try map(items, chunkSize: chunkSize, options: options, progress: progress, Done.after(function))
    }

    /// Calls `function`, which returns nothing, for each of `items` in the workers, without blocking a thread. Cancelling the task ends the calls.
    public func forEach<T: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> Void
    ) async throws {
        _ = try await map(items, chunkSize: chunkSize, options: options, progress: progress, Done.after(function))
    }

    /// Calls the asynchronous `function`, which returns nothing, for each of `items` in the workers. Cancelling the task ends the calls.
    public func forEach<T: Codable & Sendable>(
        _ items: some Collection<T>,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> Void
    ) async throws {
        _ = try await map(items, chunkSize: chunkSize, options: options, progress: progress, Done.after(function))
    }

    /// As `forEach`, with a value that every call gets and that is sent once to each worker.
    @available(*, noasync)
    public func forEach<T: Codable & Sendable, C: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> Void
    ) throws {
        _ = try map(
            items,
            with: context,
            chunkSize: chunkSize,
            options: options,
            progress: progress,
            Done.after(function)
        )
    }

    /// As `forEach`, with a value that every call gets and that is sent once to each worker.
    public func forEach<T: Codable & Sendable, C: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> Void
    ) async throws {
        _ = try await map(
            items,
            with: context,
            chunkSize: chunkSize,
            options: options,
            progress: progress,
            Done.after(function)
        )
    }

    /// As `forEach`, with a value that every call gets and that is sent once to each worker.
    public func forEach<T: Codable & Sendable, C: Codable & Sendable>(
        _ items: some Collection<T>,
        with context: C,
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> Void
    ) async throws {
        _ = try await map(
            items,
            with: context,
            chunkSize: chunkSize,
            options: options,
            progress: progress,
            Done.after(function)
        )
    }
}
