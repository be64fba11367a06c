// SPDX-License-Identifier: Apache-2.0

/// What the locks that live in a ``Manager`` have in common: ``ManagedLock``, ``ManagedRecursiveLock`` and ``ManagedCondition``.
///
/// Such a lock is held by the thread that acquired it or, acquired with `await`, by the task. Waiters are served in the order they came; one that is killed costs the others nothing.
///
/// When the process that holds it ends, however it ends, or its connection to the manager breaks, the lock passes on: the next acquirer gets ``OwnerDied``, once, with the lock released. Who lives on without
/// having the lock any more learns that from `release()`. A thread that ends does not release it.
///
/// `@unchecked Sendable` is safe because nothing in it or in its subclasses changes.
public class HostedLock: Codable, @unchecked Sendable {
    let lock: RoomLock

    /// Creates the handle of a lock that lives in a manager.
    init(_ handle: Managed<LockRoom>) {
        lock = RoomLock(handle: handle)
    }

    // MARK: - Acquiring and releasing

    /// Acquires the lock for the calling thread; the thread is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: ``OwnerDied`` when its last owner died with it; the lock is then free. `SynchronizationError` (`deadlock`) when the thread holds it already, it is a ``ManagedLock``, and `timeout` is nil. ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        try lock.acquire(timeout: timeout)
    }

    /// Acquires the lock for the calling task; the task is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether it was acquired in time.
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await lock.acquire(timeout: timeout)
    }

    /// Releases the lock; the thread is blocked until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the calling thread or task does not hold it, or has lost it with its connection; ``ManagerLost``.
    @available(*, noasync)
    public func release() throws {
        try lock.release()
    }

    /// Releases the lock; the task is suspended until that is done.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the calling task does not hold it, or has lost it with its connection; ``ManagerLost``. Also done for a task that is cancelled.
    public func release() async throws {
        try await lock.release()
    }

    /// Runs `body` with the lock held; the thread is blocked until it is.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free; what releasing throws: when the connection broke meanwhile, `body` was not alone until its end.
    @available(*, noasync)
    public func withLock<Result>(_ body: () throws -> Result) throws -> Result {
        try lock.withLock(body)
    }

    /// Runs `body` with the lock held; the task is suspended until it is.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    public func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        // An asynchronous closure, since with `body` itself the blocking form would be meant.
        try await lock.withLock { () async throws -> Result in try body() }
    }

    /// Runs `body`, which may suspend, with the lock held by the task.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await lock.withLock(body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the thread is blocked until it is. A death that nobody was told of yet is taken as told.
    ///
    /// - Throws: What `body` throws; what releasing throws.
    @available(*, noasync)
    public func recover<Result>(_ body: () throws -> Result) throws -> Result {
        try lock.withLock(recovers: true, body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the task is suspended until it is. A death that nobody was told of yet is taken as told.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    public func recover<Result>(_ body: () throws -> Result) async throws -> Result {
        // An asynchronous closure, since with `body` itself the blocking form would be meant.
        try await lock.withLock(recovers: true) { () async throws -> Result in try body() }
    }

    /// Runs `body`, which mends what the lock protects and may suspend, with the lock held by the task. A death that nobody was told of yet is taken as told.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled while it waits.
    public func recover<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await lock.withLock(recovers: true, body)
    }

    // MARK: - Questions

    /// Returns whether anybody holds the lock at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func isLocked() throws -> Bool {
        try lock.count() > 0
    }

    /// Returns whether anybody holds the lock at this moment; the task is suspended until the answer is there.
    public func isLocked() async throws -> Bool {
        try await lock.count() > 0
    }

    // MARK: - Sending

    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost``.
    public required init(from decoder: any Decoder) throws {
        lock = RoomLock(handle: try Managed(from: decoder))
    }

    /// Encodes the handle, not what it stands for, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost``.
    public func encode(to encoder: any Encoder) throws {
        try lock.handle.encode(to: encoder)
    }
}

extension HostedLock: Hashable {
    /// Whether both are handles of the same one.
    public static func == (a: HostedLock, b: HostedLock) -> Bool { a.lock.handle == b.lock.handle }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(lock.handle)
    }
}

extension HostedLock: CustomStringConvertible {
    /// The type and the number of the value; it is elsewhere.
    public var description: String { "\(type(of: self))\(lock.handle)" }
}
