// SPDX-License-Identifier: Apache-2.0

/// For programs that expect everything that processes share to come from a manager.
///
/// What these methods make is made here, in shared memory, and does not live in the manager: it is faster, needs no call, and outlives the manager. There is no other difference to making it oneself.
extension Manager {
    /// Makes a queue.
    ///
    /// - Parameters:
    ///   - type: Of what type the elements are.
    ///   - capacity: The most elements; nil for as many as memory holds.
    public func queue<Element: Codable & Sendable>(of type: Element.Type, capacity: Int? = nil) throws -> Queue<Element>
    {
        try Queue(capacity: capacity)
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
        try JoinableQueue(capacity: capacity)
    }

    /// Makes a lock.
    public func lock() throws -> Lock { try Lock() }

    /// Makes a lock that its holder may take again.
    public func recursiveLock() throws -> RecursiveLock { try RecursiveLock() }

    /// Makes a semaphore.
    public func semaphore(value: Int = 1) throws -> Semaphore { try Semaphore(value: value) }

    /// Makes a semaphore that cannot be released more often than it was acquired.
    public func boundedSemaphore(value: Int = 1) throws -> BoundedSemaphore { try BoundedSemaphore(value: value) }

    /// Makes a condition with a lock of its own.
    public func condition() throws -> Condition { try Condition() }

    /// Makes an event.
    public func event() throws -> Event { try Event() }

    /// Makes a barrier.
    public func barrier(
        parties: Int,
        timeout: Duration? = nil,
        action: (@Sendable () throws -> Void)? = nil
    ) throws -> Barrier {
        try Barrier(parties: parties, timeout: timeout, action: action)
    }

    /// Makes a shared value.
    public func value<Value: BitwiseCopyable & Sendable>(_ value: Value) throws -> SharedValue<Value> {
        try SharedValue(value)
    }

    /// Makes a shared array.
    public func array<Element: BitwiseCopyable & Sendable>(
        _ elements: some Collection<Element>
    ) throws -> SharedArray<Element> {
        try SharedArray(elements)
    }
}
