// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A lock that processes share, which its holder may acquire again.
///
/// As ``Lock`` in everything else: held by the acquiring thread, or by the task where it was acquired with `await`; it is free when the holder has released it as often as it acquired
/// it; and it passes on when its holder's process ends, with ``OwnerDied`` for the next one.
///
/// ```swift
/// try lock.withLock { try lock.withLock { print("twice") } }
/// ```
public final class RecursiveLock: Codable, Sendable, CustomStringConvertible {
    let core: LockCore

    /// Makes a free lock.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public init() throws {
        core = LockCore(try HandleMemory.make(.recursiveLock, contentSize: RobustLock.size), isRecursive: true)
    }

    // MARK: - Acquiring and releasing

    /// Acquires the lock for the calling thread, which is blocked until then; once more when it holds it already.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: ``OwnerDied`` when its last owner died with it; the lock is then free.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        // Here and below, the usual case first, without touching the reference in `core`.
        if core.lock.acquireIfFree() { return true }
        return try core.acquire(until: Deadline(timeout: timeout))
    }

    /// Acquires the lock for the calling task, which is suspended until then; once more when it holds it already.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: ``OwnerDied`` when its last owner died with it; the lock is then free. `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await core.acquire(until: Deadline(timeout: timeout))
    }

    /// Takes back one acquisition, and releases the lock with the last one. Never blocks.
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

    /// How many times the holder has acquired the lock; 0 when it is free.
    public var count: Int { core.lock.isLocked ? Int(core.lock.recursion) + 1 : 0 }

    /// The type, and who holds the lock: "none", this process by its name (with the thread or "task"), or another process; and how often.
    public var description: String { "RecursiveLock(owner: \(core.ownerDescription), count: \(count))" }

    // MARK: - Sending

    /// Decodes the lock in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let region = try HandleMemory.decode(
            .recursiveLock,
            contentSize: RobustLock.size,
            type: Self.self,
            from: container,
            decoder
        )
        core = LockCore(region, isRecursive: true)
    }

    /// Encodes the lock for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: core.region.descriptor, owner: core.region, type: Self.self, to: encoder)
    }
}
