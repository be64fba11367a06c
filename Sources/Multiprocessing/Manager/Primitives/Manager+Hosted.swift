// SPDX-License-Identifier: Apache-2.0

/// What processes wait with, made in the manager itself: for clients on several machines, and for any others.
extension Manager {
    /// Makes a queue in the manager; the thread is blocked until it is made.
    ///
    /// - Parameters:
    ///   - type: Of what type the elements are.
    ///   - capacity: The most elements, from 1; nil for as many as the manager has memory for.
    /// - Throws: `QueueError` (`invalidCapacity`); ``ManagerLost``.
    @available(*, noasync)
    public func hostedQueue<Element: Codable & Sendable>(
        of type: Element.Type,
        capacity: Int? = nil
    ) throws -> ManagedQueue<Element> {
        try Self.check(capacity)
        return ManagedQueue<Element>(try makeRoom(QueueRoom<Element>.self, QueueRoom<Element>.Plan(capacity: capacity)))
    }

    /// Makes a queue in the manager; the task is suspended until it is made.
    ///
    /// - Parameters:
    ///   - type: Of what type the elements are.
    ///   - capacity: The most elements, from 1; nil for as many as the manager has memory for.
    /// - Throws: `QueueError` (`invalidCapacity`); ``ManagerLost``.
    public func hostedQueue<Element: Codable & Sendable>(
        of type: Element.Type,
        capacity: Int? = nil
    ) async throws -> ManagedQueue<Element> {
        try Self.check(capacity)
        return ManagedQueue<Element>(
            try await makeRoom(QueueRoom<Element>.self, QueueRoom<Element>.Plan(capacity: capacity))
        )
    }

    /// Makes a lock in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func hostedLock() throws -> ManagedLock {
        ManagedLock(try makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: false)))
    }

    /// Makes a lock in the manager; the task is suspended until it is made.
    public func hostedLock() async throws -> ManagedLock {
        ManagedLock(try await makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: false)))
    }

    /// Makes a lock in the manager that its holder may take again; the thread is blocked until it is made.
    @available(*, noasync)
    public func hostedRecursiveLock() throws -> ManagedRecursiveLock {
        ManagedRecursiveLock(try makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: true)))
    }

    /// Makes a lock in the manager that its holder may take again; the task is suspended until it is made.
    public func hostedRecursiveLock() async throws -> ManagedRecursiveLock {
        ManagedRecursiveLock(try await makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: true)))
    }

    /// Makes a condition in the manager, with a recursive lock of its own; the thread is blocked until it is made.
    @available(*, noasync)
    public func hostedCondition() throws -> ManagedCondition {
        ManagedCondition(try makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: true)))
    }

    /// Makes a condition in the manager, with a recursive lock of its own; the task is suspended until it is made.
    public func hostedCondition() async throws -> ManagedCondition {
        ManagedCondition(try await makeRoom(LockRoom.self, LockRoom.Plan(isRecursive: true)))
    }

    /// Makes a semaphore in the manager; the thread is blocked until it is made.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; ``ManagerLost``.
    @available(*, noasync)
    public func hostedSemaphore(value: Int = 1) throws -> ManagedSemaphore {
        try Self.check(permits: value)
        return ManagedSemaphore(
            try makeRoom(SemaphoreRoom.self, SemaphoreRoom.Plan(value: value, maximum: SemaphoreRoom.largest))
        )
    }

    /// Makes a semaphore in the manager; the task is suspended until it is made.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; ``ManagerLost``.
    public func hostedSemaphore(value: Int = 1) async throws -> ManagedSemaphore {
        try Self.check(permits: value)
        return ManagedSemaphore(
            try await makeRoom(SemaphoreRoom.self, SemaphoreRoom.Plan(value: value, maximum: SemaphoreRoom.largest))
        )
    }

    /// Makes a semaphore in the manager that cannot be released more often than it was acquired; the thread is blocked until it is made.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; ``ManagerLost``.
    @available(*, noasync)
    public func hostedBoundedSemaphore(value: Int = 1) throws -> ManagedSemaphore {
        try Self.check(permits: value)
        return ManagedSemaphore(try makeRoom(SemaphoreRoom.self, SemaphoreRoom.Plan(value: value, maximum: value)))
    }

    /// Makes a semaphore in the manager that cannot be released more often than it was acquired; the task is suspended until it is made.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or above 2,147,483,647; ``ManagerLost``.
    public func hostedBoundedSemaphore(value: Int = 1) async throws -> ManagedSemaphore {
        try Self.check(permits: value)
        return ManagedSemaphore(
            try await makeRoom(SemaphoreRoom.self, SemaphoreRoom.Plan(value: value, maximum: value))
        )
    }

    /// Makes an event that is not set in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func hostedEvent() throws -> ManagedEvent {
        ManagedEvent(try makeRoom(EventRoom.self, Nothing()))
    }

    /// Makes an event that is not set in the manager; the task is suspended until it is made.
    public func hostedEvent() async throws -> ManagedEvent {
        ManagedEvent(try await makeRoom(EventRoom.self, Nothing()))
    }

    /// Makes a barrier in the manager; the thread is blocked until it is made.
    ///
    /// - Parameters:
    ///   - parties: How many pass together; at least 1.
    ///   - timeout: The longest wait where a call does not say; nil: for ever.
    ///   - action: Called in the manager, once in each round, when the last party has arrived and before anybody goes on. What it throws breaks the barrier. It must not use the barrier itself.
    /// - Throws: `SynchronizationError` (`invalidValue`) when `parties` is not between 1 and 2,147,483,647; `FunctionNotPortable`; ``ManagerLost``.
    @available(*, noasync)
    public func hostedBarrier(
        parties: Int,
        timeout: Duration? = nil,
        action: (@Sendable () throws -> Void)? = nil
    ) throws -> ManagedBarrier {
        ManagedBarrier(try makeRoom(BarrierRoom.self, Self.plan(parties, timeout, action)))
    }

    /// Makes a barrier in the manager; the task is suspended until it is made.
    ///
    /// - Parameters:
    ///   - parties: How many pass together; at least 1.
    ///   - timeout: The longest wait where a call does not say; nil: for ever.
    ///   - action: Called in the manager, once in each round, when the last party has arrived and before anybody goes on. What it throws breaks the barrier. It must not use the barrier itself.
    /// - Throws: `SynchronizationError` (`invalidValue`) when `parties` is not between 1 and 2,147,483,647; `FunctionNotPortable`; ``ManagerLost``.
    public func hostedBarrier(
        parties: Int,
        timeout: Duration? = nil,
        action: (@Sendable () throws -> Void)? = nil
    ) async throws -> ManagedBarrier {
        ManagedBarrier(try await makeRoom(BarrierRoom.self, Self.plan(parties, timeout, action)))
    }

    private static func check(_ capacity: Int?) throws {
        guard let capacity, capacity < 1 else { return }
        throw QueueError(.invalidCapacity, "a queue cannot have a capacity of \(capacity)")
    }

    private static func check(permits: Int) throws {
        guard !(0...SemaphoreRoom.largest).contains(permits) else { return }
        throw SynchronizationError(.invalidValue, "a semaphore cannot have \(permits) permits")
    }

    private static func plan(
        _ parties: Int,
        _ timeout: Duration?,
        _ action: (@Sendable () throws -> Void)?
    ) throws -> BarrierRoom.Plan {
        guard (1...Int(Int32.max)).contains(parties) else {
            throw SynchronizationError(.invalidValue, "a barrier cannot have \(parties) parties")
        }
        return BarrierRoom.Plan(
            parties: parties,
            patience: timeout.map { RoomTimeout.nanoseconds($0) },
            action: action.map { BarrierAction($0) }
        )
    }
}
