// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A lock that processes share, which survives its holder.
///
/// ```swift
/// let lock = try Lock()
/// let children = (0..<4).map { _ in ChildProcess { try lock.withLock { print("alone") } } }
/// ```
///
/// A lock is held by the thread that acquired it or, acquired with `await`, by the task. Only the holder can release it; a holder that acquires it again gets an error instead of waiting for
/// itself for ever (``RecursiveLock`` counts instead).
///
/// When a process ends while it holds the lock, however it ends, the lock passes on. The next acquirer gets ``OwnerDied``, once, with the lock released, so that it can look
/// at the data; `recover(_:)` acquires the lock whatever happened to its last owner. The same happens when a thread ends that holds it. The kernel does
/// that for as many as 2,048 locks that a thread holds at a time, and 1,792 that the tasks of a process hold: a task that acquires one more gets `SystemError` (ENOLCK).
///
/// A lock that is free is acquired without a system call. Waiters are not served in order. One that is waited for is watched for a few microseconds before the waiter
/// sleeps, where there is more than one processor. A task that has to wait longer leaves its own thread to others, and costs another one, some 20 KiB, for as long
/// as it waits. Dropping the last reference to a lock that this process holds leaves it held until the process ends.
public final class Lock: Codable, Sendable, CustomStringConvertible {
    let core: LockCore

    /// Makes a free lock.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public init() throws {
        core = LockCore(try HandleMemory.make(.lock, contentSize: RobustLock.size), isRecursive: false)
    }

    // MARK: - Acquiring and releasing

    /// Acquires the lock for the calling thread, which is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: ``OwnerDied`` when its last owner died with it; the lock is then free. `SynchronizationError` (`deadlock`) when the thread holds it already and `timeout` is nil.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        // Here and below, the usual case first, without touching the reference in `core`.
        if core.lock.acquireIfFree() { return true }
        return try core.acquire(until: Deadline(timeout: timeout))
    }

    /// Acquires the lock for the calling task, which is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: ``OwnerDied`` when its last owner died with it; the lock is then free. `CancellationError` when the task is cancelled while it waits.
    ///   `SynchronizationError` (`deadlock`) when the task holds it already and `timeout` is nil; `SystemError` when it has to wait and the system gives no thread for that.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await core.acquire(until: Deadline(timeout: timeout))
    }

    /// Releases the lock. Never blocks.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the calling thread or task does not hold it; nothing is changed then.
    public func release() throws {
        if core.lock.releaseIfHeldByThread() { return }
        try core.releaseOrThrow()
    }

    /// Runs `body` with the lock held; the thread is blocked until it is.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free.
    @available(*, noasync)
    public func withLock<Result>(_ body: () throws -> Result) throws -> Result {
        guard core.lock.acquireIfFree() else { return try core.withLock(body) }
        defer { if !core.lock.releaseIfHeldByThread() { _ = core.release() } }
        return try body()
    }

    /// Runs `body` with the lock held; the task is suspended until it is.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free; `CancellationError`; `SystemError` when it has to wait and the system gives no thread for that.
    public func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        try await core.withLock(body)
    }

    /// Runs `body`, which may suspend, with the lock held by the task.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free; `CancellationError`; `SystemError` when it has to wait and the system gives no thread for that.
    public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await core.withLock(body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the thread is blocked until it is. A death that nobody was told of yet is taken as told.
    @available(*, noasync)
    public func recover<Result>(_ body: () throws -> Result) throws -> Result {
        try core.recover(body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the task is suspended until it is. A death that nobody was told of yet is taken as told.
    public func recover<Result>(_ body: () throws -> Result) async throws -> Result {
        try await core.recover(body)
    }

    // MARK: - Questions

    /// Whether anybody holds the lock at this moment.
    public var isLocked: Bool { core.lock.isLocked }

    /// The type, and who holds the lock: "none", this process by its name (with the thread or "task"), or another process.
    public var description: String { "Lock(owner: \(core.ownerDescription))" }

    // MARK: - Sending

    /// Decodes the lock in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let region = try HandleMemory.decode(
            .lock,
            contentSize: RobustLock.size,
            type: Self.self,
            from: container,
            decoder
        )
        core = LockCore(region, isRecursive: false)
    }

    /// Encodes the lock for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: core.region.descriptor, owner: core.region, type: Self.self, to: encoder)
    }
}
