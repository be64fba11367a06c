// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A number of permits that processes share.
///
/// ```swift
/// let connections = try Semaphore(value: 4)
/// try connections.withPermit { try fetch(page) }   // four at a time, in all processes together
/// ```
///
/// Anybody may give a permit back, whoever took it. So there is no owner, and **permits that a process holds when it is killed are lost**, as in Python; where that matters, count with a
/// ``Lock`` and a ``SharedValue``, or give the permits back in the process that sees the death. A process killed while it waits, or while it gives, costs nothing.
public final class Semaphore: Codable, Sendable, CustomStringConvertible {
    private let core: SemaphoreCore

    /// Makes a semaphore with `value` permits.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; `SystemError` when there is no memory or descriptor for it.
    public init(value: Int = 1) throws {
        core = try SemaphoreCore(.semaphore, value: value, maximum: SemaphoreCore.largest)
    }

    /// Takes a permit; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether one was taken in time.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        // The usual case first, without touching the reference in `core`.
        if core.state.acquireIfAvailable() { return true }
        return core.acquire(until: Deadline(timeout: timeout))
    }

    /// Takes a permit; the task is suspended until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether one was taken in time.
    /// - Throws: `CancellationError` when the task is cancelled while it waits; no permit is taken then.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await core.acquire(until: Deadline(timeout: timeout))
    }

    /// Gives `count` permits, and wakes as many of those who wait. Never blocks.
    ///
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond 2,147,483,647, `invalidValue` when `count` is not positive.
    public func release(_ count: Int = 1) throws {
        if count == 1, core.state.release() { return }
        try core.release(count)
    }

    /// Runs `body` with a permit; the thread is blocked until there is one.
    @available(*, noasync)
    public func withPermit<Result>(_ body: () throws -> Result) throws -> Result {
        try acquire()
        defer { _ = core.state.release() }
        return try body()
    }

    /// Runs `body` with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits.
    public func withPermit<Result>(_ body: () throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = core.state.release() }
        return try body()
    }

    /// Runs `body`, which may suspend, with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits.
    public func withPermit<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = core.state.release() }
        return try await body()
    }

    /// The number of permits that could be taken at this moment.
    public var value: Int { Int(core.state.value) }

    /// The type and the number of permits.
    public var description: String { "Semaphore(value: \(value))" }

    /// Decodes the semaphore in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        core = try SemaphoreCore(.semaphore, type: Self.self, from: decoder)
    }

    /// Encodes the semaphore for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: core.region.descriptor, owner: core.region, type: Self.self, to: encoder)
    }
}

/// ``Semaphore`` by a second name.
///
/// Glibc, and Foundation with it, calls a pointer to `sem_t` a `Semaphore`, so that the bare name is ambiguous as a type annotation in files that import one of them. Expressions such as
/// `Semaphore(value: 4)` are not.
public typealias CountingSemaphore = Semaphore

extension Multiprocessing {
    /// ``Semaphore``, qualified.
    public typealias Semaphore = CountingSemaphore
}
