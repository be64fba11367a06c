// SPDX-License-Identifier: Apache-2.0

extension ManagedSet {
    /// Inserts an element, and returns whether it is new; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func insert(_ element: Element) throws -> Bool {
        try handle.perform(SetInsert<Element>.self, element)
    }

    /// Inserts an element, and returns whether it is new; the task is suspended until that is done.
    @discardableResult
    public func insert(_ element: Element) async throws -> Bool {
        try await handle.perform(SetInsert<Element>.self, element)
    }

    /// Removes an element, and returns whether it was there; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func remove(_ element: Element) throws -> Bool {
        try handle.perform(SetRemove<Element>.self, element)
    }

    /// Removes an element, and returns whether it was there; the task is suspended until that is done.
    @discardableResult
    public func remove(_ element: Element) async throws -> Bool {
        try await handle.perform(SetRemove<Element>.self, element)
    }

    /// Removes any element and returns it, or nil when there is none; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func popFirst() throws -> Element? {
        try handle.perform(SetPop<Element>.self, Nothing())
    }

    /// Removes any element and returns it, or nil when there is none; the task is suspended until that is done.
    @discardableResult
    public func popFirst() async throws -> Element? {
        try await handle.perform(SetPop<Element>.self, Nothing())
    }

    /// Removes all elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func removeAll() throws {
        _ = try handle.perform(SetReset<Element>.self, [])
    }

    /// Removes all elements; the task is suspended until that is done.
    public func removeAll() async throws {
        _ = try await handle.perform(SetReset<Element>.self, [])
    }

    /// Replaces all elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func setValue(_ elements: Set<Element>) throws {
        _ = try handle.perform(SetReset<Element>.self, elements)
    }

    /// Replaces all elements; the task is suspended until that is done.
    public func setValue(_ elements: Set<Element>) async throws {
        _ = try await handle.perform(SetReset<Element>.self, elements)
    }

    /// Inserts the elements of `other`; the thread is blocked until that is done.
    @available(*, noasync)
    public func formUnion(_ other: Set<Element>) throws {
        _ = try handle.perform(SetUnite<Element>.self, other)
    }

    /// Inserts the elements of `other`; the task is suspended until that is done.
    public func formUnion(_ other: Set<Element>) async throws {
        _ = try await handle.perform(SetUnite<Element>.self, other)
    }

    /// Removes the elements that are not in `other`; the thread is blocked until that is done.
    @available(*, noasync)
    public func formIntersection(_ other: Set<Element>) throws {
        _ = try handle.perform(SetIntersect<Element>.self, other)
    }

    /// Removes the elements that are not in `other`; the task is suspended until that is done.
    public func formIntersection(_ other: Set<Element>) async throws {
        _ = try await handle.perform(SetIntersect<Element>.self, other)
    }

    /// Removes the elements of `other`; the thread is blocked until that is done.
    @available(*, noasync)
    public func subtract(_ other: Set<Element>) throws {
        _ = try handle.perform(SetSubtract<Element>.self, other)
    }

    /// Removes the elements of `other`; the task is suspended until that is done.
    public func subtract(_ other: Set<Element>) async throws {
        _ = try await handle.perform(SetSubtract<Element>.self, other)
    }

    /// Removes the elements that are in `other` as well, and inserts its others; the thread is blocked until that is done.
    @available(*, noasync)
    public func formSymmetricDifference(_ other: Set<Element>) throws {
        _ = try handle.perform(SetDiffer<Element>.self, other)
    }

    /// Removes the elements that are in `other` as well, and inserts its others; the task is suspended until that is done.
    public func formSymmetricDifference(_ other: Set<Element>) async throws {
        _ = try await handle.perform(SetDiffer<Element>.self, other)
    }

    /// Inserts an element in place of the equal one, and returns that, or nil when there was none; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func update(with element: Element) throws -> Element? {
        try handle.perform(SetUpdate<Element>.self, element)
    }

    /// Inserts an element in place of the equal one, and returns that, or nil when there was none; the task is suspended until that is done.
    @discardableResult
    public func update(with element: Element) async throws -> Element? {
        try await handle.perform(SetUpdate<Element>.self, element)
    }
}
