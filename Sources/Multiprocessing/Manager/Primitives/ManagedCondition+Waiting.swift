// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension ManagedCondition {
    /// Waits for a notification: gives up the lock, however often it was acquired, and acquires it again; the thread is blocked until then.
    ///
    /// The lock is held again when this returns or throws, but for ``ManagerLost``, and getting it back is not bounded by the timeout.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether a notification came in time.
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``OwnerDied`` when a process died with the lock in the meantime; ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Bool {
        try lock.wait(timeout: timeout)
    }

    /// Waits for a notification: gives up the lock, however often it was acquired, and acquires it again; the task is suspended until then.
    ///
    /// The lock is held again when this returns or throws, but for ``ManagerLost``; getting it back is bounded neither by the timeout nor by a cancellation.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether a notification came in time.
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Bool {
        try await lock.wait(timeout: timeout)
    }

    /// Waits until `predicate` holds, which is asked with the lock held: at once, and after each notification; the thread is blocked until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait, in all: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; called here, with the lock held.
    /// - Returns: What `predicate` returned last.
    /// - Throws: As `wait(timeout:)`; what `predicate` throws.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () throws -> Bool) throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        while try !predicate() {
            guard try lock.wait(timeout: deadline.timeLeft) else { return try predicate() }
        }
        return true
    }

    /// Waits until `predicate` holds, which is asked with the lock held: at once, and after each notification; the task is suspended until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait, in all: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; called here, with the lock held.
    /// - Returns: What `predicate` returned last.
    /// - Throws: As `wait(timeout:)`; what `predicate` throws.
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () throws -> Bool) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        while try !predicate() {
            guard try await lock.wait(timeout: deadline.timeLeft) else { return try predicate() }
        }
        return true
    }

    /// Waits until `predicate`, which may suspend, holds; the task is suspended until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait, in all: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; called here, with the lock held.
    /// - Returns: What `predicate` returned last.
    /// - Throws: As `wait(timeout:)`; what `predicate` throws.
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () async throws -> Bool) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        while try await !predicate() {
            guard try await lock.wait(timeout: deadline.timeLeft) else { return try await predicate() }
        }
        return true
    }

    // MARK: - Notifying

    /// Releases at most `count` of those who wait, who go on when they get the lock; the thread is blocked until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``ManagerLost``.
    @available(*, noasync)
    public func notify(_ count: Int = 1) throws {
        try lock.notify(max(0, count))
    }

    /// Releases at most `count` of those who wait, who go on when they get the lock; the task is suspended until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``ManagerLost``.
    public func notify(_ count: Int = 1) async throws {
        try await lock.notify(max(0, count))
    }

    /// Releases all who wait, who go on, one after another, when they get the lock; the thread is blocked until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``ManagerLost``.
    @available(*, noasync)
    public func notifyAll() throws {
        try lock.notify(nil)
    }

    /// Releases all who wait, who go on, one after another, when they get the lock; the task is suspended until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``ManagerLost``.
    public func notifyAll() async throws {
        try await lock.notify(nil)
    }
}
