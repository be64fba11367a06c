// SPDX-License-Identifier: Apache-2.0

/// For programs that expect everything that processes share to come from a manager.
///
/// What these methods make is made here, in shared memory, and does not live in the manager: it is faster, needs no call, and outlives the manager. There is no other difference to making it oneself.
///
/// So they are for managers of the same machine. With one that is reached over a network (`Manager.connect(to:authenticationKey:timeout:)`) they throw ``ManagerError`` (`notLocal`): other clients could not
/// use what they make. There, change a hosted value by `Managed.withValue(_:)`, which is alone with it as under a lock.
extension Manager {
    /// Throws for a manager whose clients share no memory.
    private func checkSharesMemory() throws {
        guard client.isRemote else { return }
        throw ManagerError(
            .notLocal,
            "this manager is reached over a network, and what is made for its clients would be memory of this machine: host a value instead, or make it without the manager for processes of this machine"
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
        try checkSharesMemory()
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
        try checkSharesMemory()
        return try JoinableQueue(capacity: capacity)
    }

    /// Makes a lock.
    public func lock() throws -> Lock {
        try checkSharesMemory()
        return try Lock()
    }

    /// Makes a lock that its holder may take again.
    public func recursiveLock() throws -> RecursiveLock {
        try checkSharesMemory()
        return try RecursiveLock()
    }

    /// Makes a semaphore.
    public func semaphore(value: Int = 1) throws -> Semaphore {
        try checkSharesMemory()
        return try Semaphore(value: value)
    }

    /// Makes a semaphore that cannot be released more often than it was acquired.
    public func boundedSemaphore(value: Int = 1) throws -> BoundedSemaphore {
        try checkSharesMemory()
        return try BoundedSemaphore(value: value)
    }

    /// Makes a condition with a lock of its own.
    public func condition() throws -> Condition {
        try checkSharesMemory()
        return try Condition()
    }

    /// Makes an event.
    public func event() throws -> Event {
        try checkSharesMemory()
        return try Event()
    }

    /// Makes a barrier.
    public func barrier(
        parties: Int,
        timeout: Duration? = nil,
        action: (@Sendable () throws -> Void)? = nil
    ) throws -> Barrier {
        try checkSharesMemory()
        return try Barrier(parties: parties, timeout: timeout, action: action)
    }

    /// Makes a shared value.
    public func value<Value: BitwiseCopyable & Sendable>(_ value: Value) throws -> SharedValue<Value> {
        try checkSharesMemory()
        return try SharedValue(value)
    }

    /// Makes a shared array.
    public func array<Element: BitwiseCopyable & Sendable>(
        _ elements: some Collection<Element>
    ) throws -> SharedArray<Element> {
        try checkSharesMemory()
        return try SharedArray(elements)
    }
}
