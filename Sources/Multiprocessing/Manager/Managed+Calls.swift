// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

extension Managed {
    // MARK: - From synchronous code

    /// Calls `body` in the manager, alone with the value; the thread is blocked until it has returned.
    ///
    /// A closure that captures nothing is told to the manager once, and is a number from then on; for what varies from call to call, `withValue(with:_:)` is the faster way.
    ///
    /// - Throws: What `body` throws, as its own type where that is `Codable`, else as ``RemoteError``; ``ManagerLost``; `FunctionNotPortable` when the function cannot be carried.
    @available(*, noasync)
    public func withValue<R: Codable & Sendable>(_ body: @escaping @Sendable (inout Value) throws -> R) throws -> R {
        try call(.closure(Mutation.closure(body)), Nothing()) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `body`, which has no result, in the manager, alone with the value; the thread is blocked until it has returned.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the other
    public func withValue(_ body: @escaping @Sendable (inout Value) throws -> Void) throws {
        try call(.closure(Mutation.action(body)), Nothing()) { _, _ in }
    }

    /// Calls `body` with `argument` in the manager, alone with the value; the thread is blocked until it has returned.
    ///
    /// - Throws: As `withValue(_:)`; what encoding the argument throws.
    @available(*, noasync)
    public func withValue<A: Codable & Sendable, R: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> R
    ) throws -> R {
        try call(.closure(Mutation.function(body)), argument) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `body`, which has no result, with `argument` in the manager, alone with the value; the thread is blocked until it has returned.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the other
    public func withValue<A: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> Void
    ) throws {
        try call(.closure(Mutation.procedure(body)), argument) { _, _ in }
    }

    // MARK: - From tasks

    /// Calls `body` in the manager, alone with the value; the task is suspended until it has returned.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits: the call is made all the same.
    public func withValue<R: Codable & Sendable>(
        _ body: @escaping @Sendable (inout Value) throws -> R
    ) async throws -> R {
        try await call(.closure(Mutation.closure(body)), Nothing()) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `body`, which has no result, in the manager, alone with the value; the task is suspended until it has returned.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func withValue(_ body: @escaping @Sendable (inout Value) throws -> Void) async throws {
        try await call(.closure(Mutation.action(body)), Nothing()) { _, _ in }
    }

    /// Calls `body` with `argument` in the manager, alone with the value; the task is suspended until it has returned.
    public func withValue<A: Codable & Sendable, R: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> R
    ) async throws -> R {
        try await call(.closure(Mutation.function(body)), argument) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `body`, which has no result, with `argument` in the manager, alone with the value; the task is suspended until it has returned.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func withValue<A: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> Void
    ) async throws {
        try await call(.closure(Mutation.procedure(body)), argument) { _, _ in }
    }

    // MARK: - Asynchronous bodies

    /// Calls the asynchronous `body` in the manager, alone with the value; the task is suspended until it has returned. While it awaits, nobody else comes to the value; other values go on.
    public func withValue<R: Codable & Sendable>(
        _ body: @escaping @Sendable (inout Value) async throws -> R
    ) async throws -> R {
        try await call(.closure(Mutation.closure(body)), Nothing()) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls the asynchronous `body`, which has no result, in the manager, alone with the value; the task is suspended until it has returned.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func withValue(_ body: @escaping @Sendable (inout Value) async throws -> Void) async throws {
        try await call(.closure(Mutation.action(body)), Nothing()) { _, _ in }
    }

    /// Calls the asynchronous `body` with `argument` in the manager, alone with the value; the task is suspended until it has returned.
    public func withValue<A: Codable & Sendable, R: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) async throws -> R
    ) async throws -> R {
        try await call(.closure(Mutation.function(body)), argument) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls the asynchronous `body`, which has no result, with `argument` in the manager, alone with the value; the task is suspended until it has returned.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public func withValue<A: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) async throws -> Void
    ) async throws {
        try await call(.closure(Mutation.procedure(body)), argument) { _, _ in }
    }
}
