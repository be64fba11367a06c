// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The outcome of a call of a ``Manager`` that is under way, once it is there.
///
/// ```swift
/// let results = try words.map { try counter.withValueAsync(with: $0) { counter, word in counter.add(word) } }
/// let counts = try results.map { try $0.get() }
/// ```
///
/// Dropping it leaves the call as it is. Any number of threads and tasks may wait for it, and ask again.
public final class ManagedResult<R: Sendable>: Sendable {
    private let number: UInt64
    private let waiter: ResultWaiter
    private let read: @Sendable (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    // What was read is kept by `waiter`: fields of types made of `R` would have to be looked up for each call that is sent.

    init(
        _ call: (number: UInt64, waiter: ResultWaiter),
        _ read: @escaping @Sendable (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) {
        (number, waiter) = call
        self.read = read
    }

    /// Whether the outcome is there.
    public var isReady: Bool {
        if waiter.isAnswered || !waiter.channel.isOfThisProcess { return waiter.isAnswered }
        waiter.channel.look()
        return waiter.isAnswered
    }

    /// Blocks until the outcome is there, and returns the result.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Throws: What the function threw, as its own type where that is `Codable`, else as ``RemoteError``; ``ManagerLost``; `TimeoutError` when the time is over: the call goes on.
    @available(*, noasync)
    public func get(timeout: Duration? = nil) throws -> R {
        try checkProcess()
        if !waiter.isAnswered, !waiter.channel.wait(for: number, waiter, until: Deadline(timeout: timeout)) {
            throw TimeoutError(operation: "waiting for a manager's answer", timeout: timeout ?? .zero)
        }
        return try waiter.take(read)
    }

    /// The result, once it is there; without blocking a thread. Throws as ``get(timeout:)``, and `CancellationError` when the task is cancelled: the call is made all the same.
    public var value: R {
        get async throws {
            try checkProcess()
            if let notice = waiter.channel.notice(of: number, waiter) {
                _ = try await notice.wait(until: .never, on: Runtime.shared().reactor)
            }
            // Found out now, so that it takes no time below.
            if waiter.isLost { _ = try await waiter.channel.lostForTask() }
            return try waiter.take(read)
        }
    }

    /// Throws where nobody will have the answer: in a fork of the process that made the call.
    private func checkProcess() throws {
        guard !waiter.isAnswered, !waiter.channel.isOfThisProcess else { return }
        throw ManagerError(.otherProcess, "the call was made by the process that this one was forked from")
    }
}

extension Managed {
    // MARK: - Calls that are not waited for at once

    /// Has `body` called in the manager, alone with the value, and does not wait for the answer. Calls of one thread are made in the order it gives them.
    ///
    /// Blocks only while there are more calls under way than the manager takes: 100,000 calls of a process, or 64 MiB of requests, may wait there for values that are busy, and until some of them have been made
    /// no call of that process comes in, of whatever value. It goes on with them as long as there is room for the answers, some MiB; answers are taken when somebody waits for one, and at further calls.
    ///
    /// - Throws: ``ManagerLost``, when that is known already; `FunctionNotPortable` when the function cannot be carried.
    @available(*, noasync)
    public func withValueAsync<R: Codable & Sendable>(
        _ body: @escaping @Sendable (inout Value) throws -> R
    ) throws -> ManagedResult<R> {
        try submit(.closure(Mutation.closure(body)), Nothing()) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Has `body`, which has no result, called in the manager, alone with the value, and does not wait for the answer. Otherwise as the form with a result.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the other
    public func withValueAsync(_ body: @escaping @Sendable (inout Value) throws -> Void) throws -> ManagedResult<Void> {
        try submit(.closure(Mutation.action(body)), Nothing()) { _, _ in }
    }

    /// Has `body` called with `argument` in the manager, alone with the value, and does not wait for the answer. Otherwise as the form without an argument.
    ///
    /// - Throws: What encoding the argument throws as well.
    @available(*, noasync)
    public func withValueAsync<A: Codable & Sendable, R: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> R
    ) throws -> ManagedResult<R> {
        try submit(.closure(Mutation.function(body)), argument) {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Has `body`, which has no result, called with `argument` in the manager, alone with the value, and does not wait for the answer. Otherwise as the form with a result.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the other
    public func withValueAsync<A: Codable & Sendable>(
        with argument: A,
        _ body: @escaping @Sendable (inout Value, A) throws -> Void
    ) throws -> ManagedResult<Void> {
        try submit(.closure(Mutation.procedure(body)), argument) { _, _ in }
    }

    /// Sends a call that is asked about later.
    private func submit<R: Sendable>(
        _ function: ManagedFunction,
        _ argument: some Portable,
        _ read: @escaping @Sendable (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> ManagedResult<R> {
        let key = function.key
        let call = try client.request {
            let channel = try channel()
            let reference = key.map { key in channel.functions.withLock { $0.reference(to: key) } } ?? .once
            var told: ManagedFunction.Key?
            if case .remembered = reference { told = key }
            return try channel.submit(.call, telling: told) { writer, userInfo in
                writer.write(number)
                try function.write(reference, into: &writer, userInfo: userInfo)
                try Nothing.encode(argument, into: &writer, userInfo: userInfo)
            }
        }
        return ManagedResult(call, read)
    }
}
