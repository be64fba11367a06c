// SPDX-License-Identifier: Apache-2.0

extension ManagedList {
    /// Appends an element; the thread is blocked until that is done.
    @available(*, noasync)
    public func append(_ element: Element) throws {
        _ = try handle.perform(ListAppend<Element>.self, element)
    }

    /// Appends an element; the task is suspended until that is done.
    public func append(_ element: Element) async throws {
        _ = try await handle.perform(ListAppend<Element>.self, element)
    }

    /// Appends elements, in one step; the thread is blocked until that is done.
    @available(*, noasync)
    public func append(contentsOf elements: [Element]) throws {
        _ = try handle.perform(ListAppendAll<Element>.self, elements)
    }

    /// Appends elements, in one step; the task is suspended until that is done.
    public func append(contentsOf elements: [Element]) async throws {
        _ = try await handle.perform(ListAppendAll<Element>.self, elements)
    }

    /// Inserts an element before the one at `index`, or at the end; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func insert(_ element: Element, at index: Int) throws {
        _ = try handle.perform(ListInsert<Element>.self, Two(index, [element]))
    }

    /// Inserts an element before the one at `index`, or at the end; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func insert(_ element: Element, at index: Int) async throws {
        _ = try await handle.perform(ListInsert<Element>.self, Two(index, [element]))
    }

    /// Inserts elements before the one at `index`, or at the end; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func insert(contentsOf elements: [Element], at index: Int) throws {
        _ = try handle.perform(ListInsert<Element>.self, Two(index, elements))
    }

    /// Inserts elements before the one at `index`, or at the end; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func insert(contentsOf elements: [Element], at index: Int) async throws {
        _ = try await handle.perform(ListInsert<Element>.self, Two(index, elements))
    }

    /// Replaces the element at `index`; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func set(_ element: Element, at index: Int) throws {
        _ = try handle.perform(ListSet<Element>.self, Two(index, element))
    }

    /// Replaces the element at `index`; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func set(_ element: Element, at index: Int) async throws {
        _ = try await handle.perform(ListSet<Element>.self, Two(index, element))
    }

    /// Replaces the elements in `range` by others, of whatever number; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func replaceSubrange(_ range: Range<Int>, with elements: [Element]) throws {
        _ = try handle.perform(ListReplace<Element>.self, Two(range, elements))
    }

    /// Replaces the elements in `range` by others, of whatever number; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func replaceSubrange(_ range: Range<Int>, with elements: [Element]) async throws {
        _ = try await handle.perform(ListReplace<Element>.self, Two(range, elements))
    }

    /// Removes the element at `index` and returns it; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    @discardableResult
    public func remove(at index: Int) throws -> Element {
        try handle.perform(ListRemove<Element>.self, index)
    }

    /// Removes the element at `index` and returns it; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @discardableResult
    public func remove(at index: Int) async throws -> Element {
        try await handle.perform(ListRemove<Element>.self, index)
    }

    /// Removes the elements in `range`; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func removeSubrange(_ range: Range<Int>) throws {
        _ = try handle.perform(ListReplace<Element>.self, Two(range, []))
    }

    /// Removes the elements in `range`; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func removeSubrange(_ range: Range<Int>) async throws {
        _ = try await handle.perform(ListReplace<Element>.self, Two(range, []))
    }

    /// Removes the first element and returns it, or nil when there is none; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func popFirst() throws -> Element? {
        try handle.perform(ListPopFirst<Element>.self, Nothing())
    }

    /// Removes the first element and returns it, or nil when there is none; the task is suspended until that is done.
    @discardableResult
    public func popFirst() async throws -> Element? {
        try await handle.perform(ListPopFirst<Element>.self, Nothing())
    }

    /// Removes the last element and returns it, or nil when there is none; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func popLast() throws -> Element? {
        try handle.perform(ListPopLast<Element>.self, Nothing())
    }

    /// Removes the last element and returns it, or nil when there is none; the task is suspended until that is done.
    @discardableResult
    public func popLast() async throws -> Element? {
        try await handle.perform(ListPopLast<Element>.self, Nothing())
    }

    /// Removes all elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func removeAll() throws {
        _ = try handle.perform(ListReset<Element>.self, [])
    }

    /// Removes all elements; the task is suspended until that is done.
    public func removeAll() async throws {
        _ = try await handle.perform(ListReset<Element>.self, [])
    }

    /// Replaces all elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func setValue(_ elements: [Element]) throws {
        _ = try handle.perform(ListReset<Element>.self, elements)
    }

    /// Replaces all elements; the task is suspended until that is done.
    public func setValue(_ elements: [Element]) async throws {
        _ = try await handle.perform(ListReset<Element>.self, elements)
    }

    /// Exchanges two elements; the thread is blocked until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func swapAt(_ first: Int, _ second: Int) throws {
        _ = try handle.perform(ListSwap<Element>.self, Two(first, second))
    }

    /// Exchanges two elements; the task is suspended until that is done.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func swapAt(_ first: Int, _ second: Int) async throws {
        _ = try await handle.perform(ListSwap<Element>.self, Two(first, second))
    }

    /// Reverses the order of the elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func reverse() throws {
        _ = try handle.perform(ListReverse<Element>.self, Nothing())
    }

    /// Reverses the order of the elements; the task is suspended until that is done.
    public func reverse() async throws {
        _ = try await handle.perform(ListReverse<Element>.self, Nothing())
    }

    /// Repeats all elements so that they are there `count` times; with 0 or less none is left; the thread is blocked until that is done.
    @available(*, noasync)
    public func repeatElements(_ count: Int) throws {
        _ = try handle.perform(ListRepeat<Element>.self, count)
    }

    /// Repeats all elements so that they are there `count` times; with 0 or less none is left; the task is suspended until that is done.
    public func repeatElements(_ count: Int) async throws {
        _ = try await handle.perform(ListRepeat<Element>.self, count)
    }

    /// Puts the elements in a random order; the thread is blocked until that is done.
    @available(*, noasync)
    public func shuffle() throws {
        _ = try handle.perform(ListShuffle<Element>.self, Nothing())
    }

    /// Puts the elements in a random order; the task is suspended until that is done.
    public func shuffle() async throws {
        _ = try await handle.perform(ListShuffle<Element>.self, Nothing())
    }
}
