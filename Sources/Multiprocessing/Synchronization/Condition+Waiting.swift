// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension Condition {
    /// Waits for a notification: releases the lock (however often it was acquired), sleeps, and acquires it again; the thread is blocked until then.
    ///
    /// The lock is held again when this returns or throws, whatever the outcome, and getting it back is not bounded by the timeout.
    ///
    /// - Parameter timeout: The longest time to wait for the notification: nil for ever, zero or less not at all.
    /// - Returns: Whether a notification came in time.
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock; ``OwnerDied`` when a process died with the lock in the meantime.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Bool {
        let owner = try requireOwner("wait")
        let waiting = ConditionWaiting(self, owner: owner, until: Deadline(timeout: timeout))
        return try waiting.run(cancellation: nil)
    }

    /// Waits for a notification: releases the lock (however often it was acquired), sleeps, and acquires it again; the task is suspended until then.
    ///
    /// The lock is held again when this returns or throws, whatever the outcome; getting it back is bounded neither by the timeout nor by a cancellation.
    ///
    /// - Parameter timeout: The longest time to wait for the notification: nil for ever, zero or less not at all.
    /// - Returns: Whether a notification came in time.
    /// - Throws: `SynchronizationError` (`notOwner`) when the task does not hold the lock; ``OwnerDied`` when a process died with the lock in the meantime;
    ///   `CancellationError` when the task is cancelled while it waits; `SystemError` when the system gives no thread to wait.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Bool {
        try await wait(until: Deadline(timeout: timeout))
    }

    /// Waits until `predicate` holds, which is asked with the lock held: at once, and after each notification; the thread is blocked until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; asked with the lock held.
    /// - Returns: What `predicate` returned last.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () throws -> Bool) throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        let owner = try requireOwner("wait")
        while try !predicate() {
            let waiting = ConditionWaiting(self, owner: owner, until: deadline)
            guard try waiting.run(cancellation: nil) else { return try predicate() }
        }
        return true
    }

    /// Waits until `predicate` holds, which is asked with the lock held: at once, and after each notification; the task is suspended until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; asked with the lock held.
    /// - Returns: What `predicate` returned last.
    /// - Throws: As `wait(timeout:)`; what `predicate` throws.
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () throws -> Bool) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        while try !predicate() {
            guard try await wait(until: deadline) else { return try predicate() }
        }
        return true
    }

    /// Waits until `predicate`, which may suspend, holds; the task is suspended until then.
    ///
    /// - Parameters:
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    ///   - predicate: What to wait for; asked with the lock held.
    /// - Returns: What `predicate` returned last.
    /// - Throws: As `wait(timeout:)`; what `predicate` throws.
    @discardableResult
    public func wait(timeout: Duration? = nil, for predicate: () async throws -> Bool) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        while try await !predicate() {
            guard try await wait(until: deadline) else { return try await predicate() }
        }
        return true
    }

    /// Waits for one notification on another thread; false when the deadline passed.
    private func wait(until deadline: Deadline) async throws -> Bool {
        let waiting = ConditionWaiting(self, owner: try requireTask("wait"), until: deadline)
        return try await BlockingWaiters.run { cancellation in
            try waiting.run(cancellation: cancellation)
        }
    }

    /// The calling task, which has to hold the lock as a task: a thread's lock cannot be given up by another thread.
    private func requireTask(_ call: String) throws(SynchronizationError) -> LockHolder {
        let owner = try requireOwner(call)
        guard owner == .thread else { return owner }
        throw SynchronizationError(.notOwner, "an asynchronous \(call) needs a lock that was acquired with await")
    }
}

/// One wait for a notification, run on whichever thread may block.
private struct ConditionWaiting: Sendable {
    private let condition: Condition
    private let owner: LockHolder
    private let deadline: Deadline

    /// Prepares the wait; `owner` holds the lock, also until it is run.
    init(_ condition: Condition, owner: LockHolder, until deadline: Deadline) {
        self.condition = condition
        self.owner = owner
        self.deadline = deadline
    }

    /// Sleeps without the lock until notified, and returns with it; false when the deadline passed.
    func run(cancellation: WaitCancellation?) throws -> Bool {
        let state = condition.state
        let lock = condition.core.lock
        let recursion = lock.recursion
        // Here, not sooner: nobody would take a waiter off the books whom no thread could be had for.
        var wait = state.begin()
        while true {
            lock.recursion = 0
            _ = lock.release(by: owner)
            let result = state.sleep(wait, until: deadline, cancellation: cancellation)
            let outcome = try lock.acquire(for: owner, isTakenBack: true)
            lock.recursion = recursion
            let isOver = state.finish(&wait)
            if case .ownerDied(let process) = outcome {
                if !isOver { state.abandon(wait) }
                throw OwnerDied(process)
            }
            if isOver { return true }
            guard result != .lookAgain else { continue }
            state.abandon(wait)
            guard result != .cancelled else { throw CancellationError() }
            return false
        }
    }
}
