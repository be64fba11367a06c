// SPDX-License-Identifier: Apache-2.0

/// For programs that expect everything that processes share to come from a manager.
///
/// What these methods make is made here, in shared memory, and does not live in the manager: it is faster, needs no call, and outlives the manager. There is no other difference to making it oneself.
///
/// So they are for managers of the same machine. With one that is reached over a network (`Manager.connect(to:authenticationKey:timeout:)`) they throw ``ManagerError`` (`notLocal`): other clients could not
/// use what they make. What works with every manager is made by `hostedQueue(of:capacity:)`, `hostedLock()`, and so on, and lives in the manager.
extension Manager {
    /// Throws for a manager whose clients share no memory.
    ///
    /// - Parameter cure: What to call instead.
    private func checkSharesMemory(_ cure: String) throws {
        guard client.isRemote else { return }
        throw ManagerError(
            .notLocal,
            "this manager is reached over a network, and what is made for its clients would be memory of this machine: for clients of several machines, call \(cure), which makes it in the manager"
        )
    }

    /// Makes a queue.
    ///
    /// - Parameters:
    ///   - type: Of what type the elements are.
    ///   - capacity: The most elements; nil for as many as memory holds.
    /// - Throws: ``ManagerError`` (`notLocal`), as all of these; `SystemError` when memory or descriptors are short.
    public func queue<Element: Codable & Sendable>(of type: Element.Type, capacity: Int? = nil) throws -> Queue<Element>
    {
        try checkSharesMemory("hostedQueue(of:capacity:)")
        return try Queue(capacity: capacity)
    }

    /// Makes a queue whose elements are reported as done.
    ///
    /// - Parameters:
    ///   - type: Of what type the elements are.
    ///   - capacity: The most elements; nil for as many as memory holds.
    public func joinableQueue<Element: Codable & Sendable>(
        of type: Element.Type,
        capacity: Int? = nil
    ) throws -> JoinableQueue<Element> {
        try checkSharesMemory("hostedQueue(of:capacity:)")
        return try JoinableQueue(capacity: capacity)
    }

    /// Makes a lock.
    public func lock() throws -> Lock {
        try checkSharesMemory("hostedLock()")
        return try Lock()
    }

    /// Makes a lock that its holder may take again.
    public func recursiveLock() throws -> RecursiveLock {
        try checkSharesMemory("hostedRecursiveLock()")
        return try RecursiveLock()
    }

    /// Makes a semaphore.
    public func semaphore(value: Int = 1) throws -> Semaphore {
        try checkSharesMemory("hostedSemaphore(value:)")
        return try Semaphore(value: value)
    }

    /// Makes a semaphore that cannot be released more often than it was acquired.
    public func boundedSemaphore(value: Int = 1) throws -> BoundedSemaphore {
        try checkSharesMemory("hostedBoundedSemaphore(value:)")
        return try BoundedSemaphore(value: value)
    }

    /// Makes a condition with a lock of its own.
    public func condition() throws -> Condition {
        try checkSharesMemory("hostedCondition()")
        return try Condition()
    }

    /// Makes an event.
    public func event() throws -> Event {
        try checkSharesMemory("hostedEvent()")
        return try Event()
    }

    /// Makes a barrier.
    public func barrier(
        parties: Int,
        timeout: Duration? = nil,
        action: (@Sendable () throws -> Void)? = nil
    ) throws -> Barrier {
        try checkSharesMemory("hostedBarrier(parties:timeout:action:)")
        return try Barrier(parties: parties, timeout: timeout, action: action)
    }

    /// Makes a shared value.
    public func value<Value: BitwiseCopyable & Sendable>(_ value: Value) throws -> SharedValue<Value> {
        try checkSharesMemory("host(_:)")
        return try SharedValue(value)
    }

    /// Makes a shared array.
    public func array<Element: BitwiseCopyable & Sendable>(
        _ elements: some Collection<Element>
    ) throws -> SharedArray<Element> {
        try checkSharesMemory("list(_:)")
        return try SharedArray(elements)
    }
}
