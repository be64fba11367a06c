// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A lock with which processes wait for a change that another one announces.
///
/// ```swift
/// try condition.withLock {
///     try condition.wait { tasks.value > 0 }     // sleeps without the lock, looks with it
///     tasks.value -= 1
/// }
/// // elsewhere
/// try condition.withLock { tasks.value += 1; try condition.notify() }
/// ```
///
/// `wait` and `notify` need the lock, which is a ``RecursiveLock`` of its own unless another one is given. A notification is a few stores and a wake-up: it waits for nobody, so a waiter that
/// is killed costs the others nothing (one that was killed when a notification had just released it takes that one with it; ``notifyAll()`` has no such case). A notifier that is killed
/// dies with the lock held: the next owner gets ``OwnerDied``.
///
/// A waiter may be released without a notification after processes were killed, so always wait for a condition in a loop, or with `wait(timeout:for:)`.
public final class Condition: Codable, Sendable, CustomStringConvertible {
    /// The lock, in whichever of the two classes it came.
    enum Guard: Codable, Sendable {
        case lock(Lock)
        case recursiveLock(RecursiveLock)
    }

    /// What travels.
    private enum CodingKeys: CodingKey {
        case lock
        case state
    }

    let guardian: Guard

    /// Keeps the memory of the condition itself.
    let region: MemoryRegion

    var state: ConditionState { ConditionState(region.base + HandleMemory.contentOffset, lock: core.lock) }

    /// The lock's mechanics.
    var core: LockCore {
        switch guardian {
        case .lock(let lock): lock.core
        case .recursiveLock(let lock): lock.core
        }
    }

    /// Makes a condition with a recursive lock of its own.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public convenience init() throws {
        try self.init(lock: try RecursiveLock())
    }

    /// Makes a condition that uses `lock`, which other conditions and other code may use too.
    public init(lock: RecursiveLock) throws {
        guardian = .recursiveLock(lock)
        region = try HandleMemory.make(.condition, contentSize: ConditionState.size)
    }

    /// Makes a condition that uses `lock`, which other conditions and other code may use too.
    public init(lock: Lock) throws {
        guardian = .lock(lock)
        region = try HandleMemory.make(.condition, contentSize: ConditionState.size)
    }

    // MARK: - The lock

    /// Acquires the lock; see `acquire(timeout:)`.
    @available(*, noasync)
    @discardableResult
    public func acquire(timeout: Duration? = nil) throws -> Bool {
        try core.acquire(until: Deadline(timeout: timeout))
    }

    /// Acquires the lock for the calling task; see `acquire(timeout:)`.
    @discardableResult
    public func acquire(timeout: Duration? = nil) async throws -> Bool {
        try await core.acquire(until: Deadline(timeout: timeout))
    }

    /// Releases the lock.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the calling thread or task does not hold it.
    public func release() throws {
        try core.releaseOrThrow()
    }

    /// Runs `body` with the lock held; the thread is blocked until it is.
    @available(*, noasync)
    public func withLock<Result>(_ body: () throws -> Result) throws -> Result {
        try core.withLock(body)
    }

    /// Runs `body` with the lock held; the task is suspended until it is.
    public func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        try await core.withLock(body)
    }

    /// Runs `body`, which may wait for the condition, with the lock held by the task, which is suspended until it is.
    public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        try await core.withLock(body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the thread is blocked until it is. A death that nobody was told of yet is taken as told.
    @available(*, noasync)
    public func recover<Result>(_ body: () throws -> Result) throws -> Result {
        try core.recover(body)
    }

    /// Runs `body`, which mends what the lock protects, with the lock held; the task is suspended until it is. A death that nobody was told of yet is taken as told.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits.
    public func recover<Result>(_ body: () throws -> Result) async throws -> Result {
        try await core.recover(body)
    }

    /// The lock, for other code and further conditions to share: the condition's own where none was given. Nil where a ``Lock`` was given, which is the caller's.
    public var recursiveLock: RecursiveLock? {
        if case .recursiveLock(let lock) = guardian { lock } else { nil }
    }

    // MARK: - Notifying

    /// Releases at most `count` of those who wait; they go on when they get the lock. Never blocks.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock.
    public func notify(_ count: Int = 1) throws {
        try requireOwner("notify")
        state.notify(UInt32(clamping: count))
    }

    /// Releases all who wait; they go on, one after another, when they get the lock. Never blocks.
    ///
    /// - Throws: `SynchronizationError` (`notOwner`) when the caller does not hold the lock.
    public func notifyAll() throws {
        try requireOwner("notifyAll")
        state.notifyAll()
    }

    /// The calling thread or task, which has to hold the lock.
    @discardableResult
    func requireOwner(_ call: String) throws(SynchronizationError) -> LockHolder {
        guard let owner = core.owner() else {
            throw SynchronizationError(
                .notOwner,
                "\(call) was called on a condition without its lock (owner: \(core.ownerDescription))"
            )
        }
        return owner
    }

    // MARK: - Description and sending

    /// The type, the lock, and how many wait (processes killed while they waited included).
    public var description: String {
        let lock: any CustomStringConvertible =
            switch guardian {
            case .lock(let lock): lock
            case .recursiveLock(let lock): lock
            }
        return "Condition(\(lock), waiting: \(state.waiters))"
    }

    /// Decodes the condition, with its lock, in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        // First, as when it is encoded.
        region = try container.decode(State.self, forKey: .state).region
        guardian = try container.decode(Guard.self, forKey: .lock)
    }

    /// Encodes the condition, with its lock, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        // First, since any other encoder fails here, and is to say what it was given.
        try container.encode(State(region: region), forKey: .state)
        try container.encode(guardian, forKey: .lock)
    }

    /// The region as a value of its own, for the coder.
    private struct State: Codable {
        let region: MemoryRegion

        init(region: MemoryRegion) {
            self.region = region
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            region = try HandleMemory.decode(
                .condition,
                contentSize: ConditionState.size,
                type: Condition.self,
                from: container,
                decoder
            )
        }

        func encode(to encoder: any Encoder) throws {
            try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Condition.self, to: encoder)
        }
    }
}
