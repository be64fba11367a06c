// SPDX-License-Identifier: Apache-2.0

extension ManagedQueue {
    // MARK: - Dealing with elements

    /// Says that an element taken from this queue has been dealt with; the thread is blocked until that is done.
    ///
    /// - Throws: `QueueError` (`tooManyTasksDone`) when there was none left, of all clients together; ``ManagerLost``.
    @available(*, noasync)
    public func taskDone() throws {
        try handle.ask(QueueRoom.Request(.taskDone)).isInTime()
    }

    /// Says that an element taken from this queue has been dealt with; the task is suspended until that is done.
    ///
    /// - Throws: `QueueError` (`tooManyTasksDone`) when there was none left, of all clients together; ``ManagerLost``.
    public func taskDone() async throws {
        try await handle.askUncancelled(QueueRoom.Request(.taskDone)).isInTime()
    }

    /// Waits until every element that was put has been dealt with; the thread is blocked until then.
    ///
    /// What a process had taken when it was killed counts as not dealt with.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether that is so.
    /// - Throws: ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func join(timeout: Duration? = nil) throws -> Bool {
        try handle.ask(QueueRoom.Request(.join), timeout: timeout).isInTime()
    }

    /// Waits until every element that was put has been dealt with; the task is suspended until then.
    ///
    /// What a process had taken when it was killed counts as not dealt with.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether that is so.
    /// - Throws: ``ManagerLost``; `CancellationError` when the task is cancelled while it waits.
    @discardableResult
    public func join(timeout: Duration? = nil) async throws -> Bool {
        try await handle.ask(QueueRoom.Request(.join), timeout: timeout).isInTime()
    }

    // MARK: - Questions

    /// Returns the number of elements at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try handle.ask(QueueRoom.Request(.count)).number()
    }

    /// Returns the number of elements at this moment; the task is suspended until the answer is there.
    public func count() async throws -> Int {
        try await handle.ask(QueueRoom.Request(.count)).number()
    }

    /// Returns whether there is no element at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func isEmpty() throws -> Bool {
        try handle.ask(QueueRoom.Request(.count)).number() == 0
    }

    /// Returns whether there is no element at this moment; the task is suspended until the answer is there.
    public func isEmpty() async throws -> Bool {
        try await handle.ask(QueueRoom.Request(.count)).number() == 0
    }

    /// Returns whether there are as many elements as the capacity at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func isFull() throws -> Bool {
        try handle.ask(QueueRoom.Request(.isFull)).number() == 1
    }

    /// Returns whether there are as many elements as the capacity at this moment; the task is suspended until the answer is there.
    public func isFull() async throws -> Bool {
        try await handle.ask(QueueRoom.Request(.isFull)).number() == 1
    }

    /// Returns the number of elements that were put and not dealt with yet; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func unfinishedCount() throws -> Int {
        try handle.ask(QueueRoom.Request(.unfinished)).number()
    }

    /// Returns the number of elements that were put and not dealt with yet; the task is suspended until the answer is there.
    public func unfinishedCount() async throws -> Int {
        try await handle.ask(QueueRoom.Request(.unfinished)).number()
    }

    // MARK: - Ending

    /// Ends the queue for all clients: nothing can be put any more, and what is in it can still be taken; after that `get` throws `QueueError` (`shutDown`) and iterations end; the thread is blocked until that is done.
    ///
    /// - Parameter immediate: Whether what is in it can be taken no more either. It counts as dealt with then.
    /// - Throws: ``ManagerLost``.
    @available(*, noasync)
    public func shutDown(immediate: Bool = false) throws {
        try handle.ask(QueueRoom.Request(immediate ? .shutDownAtOnce : .shutDown)).isInTime()
    }

    /// Ends the queue for all clients: nothing can be put any more, and what is in it can still be taken; after that `get` throws `QueueError` (`shutDown`) and iterations end; the task is suspended until that is done.
    ///
    /// - Parameter immediate: Whether what is in it can be taken no more either. It counts as dealt with then.
    /// - Throws: ``ManagerLost``.
    public func shutDown(immediate: Bool = false) async throws {
        try await handle.askUncancelled(QueueRoom.Request(immediate ? .shutDownAtOnce : .shutDown)).isInTime()
    }
}
