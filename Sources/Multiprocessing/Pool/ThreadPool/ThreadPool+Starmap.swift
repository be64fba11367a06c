// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
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
    // MARK: - starmapAsync

    /// As `mapAsync`, for a function of several parameters: each item is a tuple of its arguments.
    public func starmapAsync<each A: Sendable, R: Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let body: @Sendable (SendableBox<(repeat each A)>) throws -> R = { try function(repeat each $0.value) }
        return try DirectMapping(self, chunkSize, options, body).start(arguments.map { SendableBox($0) }, callbacks)
    }

    /// As `mapAsync`, for an asynchronous function of several parameters: each item is a tuple of its arguments.
    public func starmapAsync<each A: Sendable, R: Sendable>(
        _ arguments: [(repeat each A)],
        chunkSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        onSuccess: (@Sendable ([R]) -> Void)? = nil,
        onFailure: (@Sendable (any Error) -> Void)? = nil,
        _ function: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) throws -> AsyncResult<[R]> {
        let callbacks = Callbacks(onSuccess: onSuccess, onFailure: onFailure)
        let body: @Sendable (SendableBox<(repeat each A)>) async throws -> R = { box in
            try await function(repeat each box.value)
        }
        return try DirectMapping(self, chunkSize, options, body).start(arguments.map { SendableBox($0) }, callbacks)
    }
}
