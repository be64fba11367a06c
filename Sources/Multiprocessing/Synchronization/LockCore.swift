// SPDX-License-Identifier: Apache-2.0
//
// What `Lock`, `RecursiveLock`, `Condition`, `SharedValue` and `SharedArray` share: a robust lock with an owner.
//
// The owner is the thread that acquired it, or the task, where it was acquired with `await`: a task may go on on another thread. A task that acquires a lock which is free, for a
// closure without suspensions, holds it as the thread it runs on; that is the fast case, and nobody can tell the difference.

internal import MultiprocessingPrimitives

/// A robust lock in a region.
struct LockCore: Sendable {
    /// Keeps the memory.
    let region: MemoryRegion
    let lock: RobustLock

    /// Whether the owner may acquire it again.
    let isRecursive: Bool

    /// The lock at the start of a region's content.
    init(_ region: MemoryRegion, isRecursive: Bool) {
        self.region = region
        lock = RobustLock(region.base + HandleMemory.contentOffset)
        self.isRecursive = isRecursive
    }

    // MARK: - Acquiring

    /// Acquires the lock for the calling thread, blocking it until `deadline`; false when that passed.
    func acquire(until deadline: Deadline) throws -> Bool {
        if lock.acquireIfFree() { return true }
        if enterAgain() { return true }
        if deadline == .never, owner() != nil { throw deadlock }
        return try acquired(try lock.acquire(until: deadline))
    }

    /// Acquires the lock for the calling task, suspending it until `deadline`; false when that passed.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while it waits.
    func acquire(until deadline: Deadline) async throws -> Bool {
        let holder = TaskToken.holder
        if enterAgain() { return true }
        let outcome = try lock.acquire(for: holder, until: .passed)
        guard outcome == .timedOut, !deadline.hasPassed else { return try acquired(outcome, by: holder) }
        if deadline == .never, owner() != nil { throw deadlock }
        return try acquired(try await waitInBackground(for: holder, until: deadline), by: holder)
    }

    /// Watches the lock for a moment, then lets another thread wait for it.
    private func waitInBackground(for holder: LockHolder, until deadline: Deadline) async throws -> LockOutcome {
        if Spinning.wait(until: { !lock.isLocked }) {
            let outcome = try lock.acquire(for: holder, until: .passed)
            guard outcome == .timedOut else { return outcome }
        }
        return try await BlockingWaiters.run { [self] cancellation in
            try lock.acquire(for: holder, until: deadline, cancellation: cancellation)
        }
    }

    /// Turns an outcome into what the caller is told; after a death the lock is free again.
    private func acquired(_ outcome: LockOutcome, by holder: LockHolder = .thread) throws -> Bool {
        switch outcome {
        case .acquired: return true
        case .timedOut: return false
        case .cancelled: throw CancellationError()
        case .heldByCaller: throw deadlock
        case .ownerDied(let process):
            _ = lock.release(by: holder)
            throw OwnerDied(process)
        }
    }

    private var deadlock: SynchronizationError {
        SynchronizationError(
            .deadlock,
            "acquiring a lock that the caller holds and that is not recursive would wait for ever"
        )
    }

    /// Counts one more acquisition when the caller owns a recursive lock.
    private func enterAgain() -> Bool {
        guard isRecursive, owner() != nil else { return false }
        lock.recursion += 1
        return true
    }

    // MARK: - Releasing

    /// The calling thread or task, when it owns the lock.
    func owner() -> LockHolder? {
        if lock.isHeld(by: .thread) { return .thread }
        guard let token = TaskToken.current, lock.isHeld(by: .task(token)) else { return nil }
        return .task(token)
    }

    /// Takes back one acquisition; false when the caller does not own the lock.
    func release() -> Bool {
        if !isRecursive, lock.releaseIfHeldByThread() { return true }
        guard let owner = owner() else { return false }
        guard !isRecursive || lock.recursion == 0 else {
            lock.recursion -= 1
            return true
        }
        return lock.release(by: owner)
    }

    /// Takes back one acquisition.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not own the lock.
    func releaseOrThrow() throws(SynchronizationError) {
        guard !release() else { return }
        throw SynchronizationError(
            .notOwner,
            "a lock was released by who does not hold it (owner: \(ownerDescription))"
        )
    }

    // MARK: - Scopes

    /// Runs `body` with the lock held, blocking the thread until it is free.
    func withLock<Result>(_ body: () throws -> Result) throws -> Result {
        _ = try acquire(until: .never)
        defer { _ = release() }
        return try body()
    }

    /// Runs `body` with the lock held, suspending the task until it is free. Nothing is suspended when it is free already.
    func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        if !lock.acquireIfFree() { _ = try await acquire(until: .never) }
        defer { _ = release() }
        return try body()
    }

    /// Runs `body`, which may suspend, with the lock held.
    func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        _ = try await acquire(until: .never)
        defer { _ = release() }
        return try await body()
    }

    /// Runs `body` with the lock held, whether or not its last owner died with it.
    func recover<Result>(_ body: () throws -> Result) throws -> Result {
        if !enterAgain() {
            let outcome = try lock.acquire(until: .never)
            guard outcome != .heldByCaller else { throw deadlock }
        }
        defer { _ = release() }
        return try body()
    }

    /// Runs `body` with the lock held, whether or not its last owner died with it, suspending the task until it is free.
    func recover<Result>(_ body: () throws -> Result) async throws -> Result {
        if !enterAgain() {
            let holder = TaskToken.holder
            if owner() != nil { throw deadlock }
            let outcome = try await waitInBackground(for: holder, until: .never)
            guard outcome != .cancelled else { throw CancellationError() }
        }
        defer { _ = release() }
        return try body()
    }
}
