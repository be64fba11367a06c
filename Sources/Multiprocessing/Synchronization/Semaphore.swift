// SPDX-License-Identifier: Apache-2.0

public import MultiprocessingPrimitives

extension Semaphore: Codable, CustomStringConvertible {
    /// What it has in common with `BoundedSemaphore`.
    private var core: SemaphoreCore { SemaphoreCore(region: region, state: state) }

    /// Makes a semaphore with `value` permits.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; `SystemError` when there is no memory or descriptor for it.
    public convenience init(value: Int = 1) throws {
        let core = try SemaphoreCore(.semaphore, value: value, maximum: SemaphoreCore.largest)
        self.init(core.region, core.state)
    }

    /// Takes a permit; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether one was taken in time.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        // The usual case first.
        if state.acquireIfAvailable() { return true }
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
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond 2,147,483,647, `invalidValue` when `count` is not positive.
    public func release(_ count: Int = 1) throws {
        if count == 1, state.release() { return }
        try core.release(count)
    }

    /// Runs `body` with a permit; the thread is blocked until there is one.
    @available(*, noasync)
    public func withPermit<Result>(_ body: () throws -> Result) throws -> Result {
        try acquire()
        defer { _ = state.release() }
        return try body()
    }

    /// Runs `body` with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    public func withPermit<Result>(_ body: () throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = state.release() }
        return try body()
    }

    /// Runs `body`, which may suspend, with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    public func withPermit<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await acquire()
        defer { _ = state.release() }
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
    public var value: Int { Int(state.value) }

    /// The type and the number of permits.
    public var description: String { "Semaphore(value: \(value))" }

    /// Decodes the semaphore in a process it was sent to.
    public convenience init(from decoder: any Decoder) throws {
        let core = try SemaphoreCore(.semaphore, type: Self.self, from: decoder)
        self.init(core.region, core.state)
    }

    /// Encodes the semaphore for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: encoder)
    }
}

/// A number of permits that processes share: `Semaphore`, by a second name.
///
/// ```swift
/// let connections = try Semaphore(value: 4)
/// try connections.withPermit { try fetch(page) }   // four at a time, in all processes together
/// ```
///
/// `acquire(timeout:)` takes a permit, `release(_:)` gives one or several, whoever took them; `withPermit(_:)` does both around its body; `value` is the number of permits at this moment. As for the
/// other handles, what blocks has an asynchronous twin. A ``BoundedSemaphore`` never has more permits than at the start.
///
/// Glibc, and Foundation with it, calls a pointer to `sem_t` a `Semaphore`. A file that imports `Multiprocessing` need not care, whatever else it imports; one that sees this package only
/// through another module's re-export may have to, and has this name. For the same reason documentation lists the class with those of a lower module.
public typealias CountingSemaphore = Semaphore

extension Multiprocessing {
    /// `Semaphore`, qualified.
    public typealias Semaphore = CountingSemaphore
}
