// SPDX-License-Identifier: Apache-2.0

/// A number of permits in a ``Manager``, for clients on one machine or several.
///
/// As ``CountingSemaphore`` or, made with a maximum, ``BoundedSemaphore``, which are many times faster and serve the processes of one machine. Waiters are served in the order they came; one that is killed costs the
/// others nothing. A permit that a process has taken when it is killed is not given back, since anybody may give it: for what has an owner, use a ``ManagedLock``.
public final class ManagedSemaphore: Codable, Sendable {
    let handle: Managed<SemaphoreRoom>

    /// Creates the handle of a semaphore that lives in a manager.
    init(_ handle: Managed<SemaphoreRoom>) {
        self.handle = handle
    }

    /// Takes a permit; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether one was taken in time.
    /// - Throws: ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        try handle.ask(.acquire, timeout: timeout).isInTime()
    }

    /// Takes a permit; the task is suspended until there is one.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether one was taken in time.
    /// - Throws: ``ManagerLost``; `CancellationError` when the task is cancelled while it waits: no permit is taken then.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await handle.ask(.acquire, timeout: timeout).isInTime()
    }

    /// Gives `count` permits; the thread is blocked until that is done.
    ///
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond the maximum, with nothing changed, `invalidValue` when `count` is not positive; ``ManagerLost``.
    @available(*, noasync)
    public func release(_ count: Int = 1) throws {
        try check(count)
        try handle.ask(.release(count)).isInTime()
    }

    /// Gives `count` permits; the task is suspended until that is done.
    ///
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond the maximum, with nothing changed, `invalidValue` when `count` is not positive; ``ManagerLost``.
    public func release(_ count: Int = 1) async throws {
        try check(count)
        try await handle.askUncancelled(.release(count)).isInTime()
    }

    private func check(_ count: Int) throws {
        guard count > 0 else {
            throw SynchronizationError(.invalidValue, "a semaphore cannot be given \(count) permits")
        }
    }

    /// Runs `body` with a permit; the thread is blocked until there is one.
    ///
    /// - Throws: What `body` throws; ``ManagerLost``.
    @available(*, noasync)
    public func withPermit<Result>(_ body: () throws -> Result) throws -> Result {
        try acquire()
        let result: Result
        do { result = try body() } catch {
            // What `body` threw says more.
            try? release()
            throw error
        }
        try release()
        return result
    }

    /// Runs `body` with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; ``ManagerLost``; `CancellationError` when the task is cancelled while it waits.
    public func withPermit<Result>(_ body: () throws -> Result) async throws -> Result {
        try await withPermit { () async throws -> Result in try body() }
    }

    /// Runs `body`, which may suspend, with a permit; the task is suspended until there is one.
    ///
    /// - Throws: What `body` throws; ``ManagerLost``; `CancellationError` when the task is cancelled while it waits.
    public func withPermit<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await acquire()
        let result: Result
        do { result = try await body() } catch {
            try? await release()
            throw error
        }
        try await release()
        return result
    }

    /// Returns the number of permits that could be taken at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value() throws -> Int {
        try handle.ask(.look).number()
    }

    /// Returns the number of permits that could be taken at this moment; the task is suspended until the answer is there.
    public func value() async throws -> Int {
        try await handle.ask(.look).number()
    }

    // MARK: - Sending

    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost``.
    public init(from decoder: any Decoder) throws {
        handle = try Managed(from: decoder)
    }

    /// Encodes the handle, not what it stands for, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost``.
    public func encode(to encoder: any Encoder) throws {
        try handle.encode(to: encoder)
    }
}

extension ManagedSemaphore: Hashable {
    /// Whether both are handles of the same one.
    public static func == (a: ManagedSemaphore, b: ManagedSemaphore) -> Bool { a.handle == b.handle }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedSemaphore: CustomStringConvertible {
    /// The type and the number of the value; it is elsewhere.
    public var description: String { "ManagedSemaphore\(handle)" }
}
