// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A number of permits that processes share, never more than at the start.
///
/// As `Semaphore`, but giving more permits back than were taken is an error, which shows the mistake where it happens. The check and the change are one step, also between processes.
public final class BoundedSemaphore: Codable, Sendable, CustomStringConvertible {
    private let core: SemaphoreCore

    /// Makes a semaphore with `value` permits, which is also the most it may have.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; `SystemError` when there is no memory or descriptor for it.
    public init(value: Int = 1) throws {
        core = try SemaphoreCore(.boundedSemaphore, value: value, maximum: value)
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
    /// - Throws: `CancellationError` when the task is cancelled while it waits, and no permit is taken then; `SystemError` when it has to wait and the system gives no thread for that.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await core.acquire(until: Deadline(timeout: timeout))
    }

    /// Gives `count` permits, and wakes as many of those who wait. Never blocks.
    ///
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond the maximum, with nothing changed, `invalidValue` when `count` is not positive.
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
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    public func withPermit<Result>(_ body: () throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = core.state.release() }
        return try body()
    }

    /// Runs `body`, which may suspend, with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    public func withPermit<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = core.state.release() }
        return try await body()
    }

    /// `withPermit`, by the name that locks have.
    @available(*, noasync)
    public func withLock<Result>(_ body: () throws -> Result) throws -> Result {
        try withPermit(body)
    }

    /// The asynchronous `withPermit`, by the name that locks have.
    public func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        try await withPermit(body)
    }

    /// The asynchronous `withPermit` for a body that may suspend, by the name that locks have.
    public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await withPermit(body)
    }

    /// The number of permits that could be taken at this moment.
    public var value: Int { Int(core.state.value) }

    /// The most permits there may be.
    public var maximumValue: Int { Int(core.state.maximum) }

    /// The type, the number of permits and the most there may be.
    public var description: String { "BoundedSemaphore(value: \(value), maximum: \(maximumValue))" }

    /// Decodes the semaphore in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        core = try SemaphoreCore(.boundedSemaphore, type: Self.self, from: decoder)
    }

    /// Encodes the semaphore for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: core.region.descriptor, owner: core.region, type: Self.self, to: encoder)
    }
}
