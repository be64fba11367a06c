// SPDX-License-Identifier: Apache-2.0

extension ManagedList {
    /// Returns all elements; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value() throws -> [Element] {
        try handle.perform(ListAll<Element>.self, Nothing())
    }

    /// Returns all elements; the task is suspended until the answer is there.
    public func value() async throws -> [Element] {
        try await handle.perform(ListAll<Element>.self, Nothing())
    }

    /// Returns the number of elements; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try handle.perform(ListCount<Element>.self, Nothing())
    }

    /// Returns the number of elements; the task is suspended until the answer is there.
    public func count() async throws -> Int {
        try await handle.perform(ListCount<Element>.self, Nothing())
    }

    /// Returns whether there is no element; the thread is blocked until that is known.
    @available(*, noasync)
    public func isEmpty() throws -> Bool {
        try handle.perform(ListCount<Element>.self, Nothing()) == 0
    }

    /// Returns whether there is no element; the task is suspended until that is known.
    public func isEmpty() async throws -> Bool {
        try await handle.perform(ListCount<Element>.self, Nothing()) == 0
    }

    /// Returns the element at `index`; the thread is blocked until the answer is there.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func element(at index: Int) throws -> Element {
        try handle.perform(ListElement<Element>.self, index)
    }

    /// Returns the element at `index`; the task is suspended until the answer is there.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func element(at index: Int) async throws -> Element {
        try await handle.perform(ListElement<Element>.self, index)
    }

    /// Returns the elements in `range`; the thread is blocked until the answer is there.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    @available(*, noasync)
    public func elements(in range: Range<Int>) throws -> [Element] {
        try handle.perform(ListElements<Element>.self, range)
    }

    /// Returns the elements in `range`; the task is suspended until the answer is there.
    ///
    /// - Throws: ``ManagerError`` (`outOfRange`) when there is no such index.
    public func elements(in range: Range<Int>) async throws -> [Element] {
        try await handle.perform(ListElements<Element>.self, range)
    }

    /// Returns the first element, or nil when there is none; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func first() throws -> Element? {
        try handle.perform(ListFirst<Element>.self, Nothing())
    }

    /// Returns the first element, or nil when there is none; the task is suspended until the answer is there.
    public func first() async throws -> Element? {
        try await handle.perform(ListFirst<Element>.self, Nothing())
    }

    /// Returns the last element, or nil when there is none; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func last() throws -> Element? {
        try handle.perform(ListLast<Element>.self, Nothing())
    }

    /// Returns the last element, or nil when there is none; the task is suspended until the answer is there.
    public func last() async throws -> Element? {
        try await handle.perform(ListLast<Element>.self, Nothing())
    }
}

extension ManagedList where Element: Equatable {
    /// Returns whether an element is there; the thread is blocked until that is known.
    @available(*, noasync)
    public func contains(_ element: Element) throws -> Bool {
        try handle.perform(ListIndex<Element>.self, element) != nil
    }

    /// Returns whether an element is there; the task is suspended until that is known.
    public func contains(_ element: Element) async throws -> Bool {
        try await handle.perform(ListIndex<Element>.self, element) != nil
    }

    /// Returns the first index of an element, or nil when it is not there; the thread is blocked until that is known.
    @available(*, noasync)
    public func firstIndex(of element: Element) throws -> Int? {
        try handle.perform(ListIndex<Element>.self, element)
    }

    /// Returns the first index of an element, or nil when it is not there; the task is suspended until that is known.
    public func firstIndex(of element: Element) async throws -> Int? {
        try await handle.perform(ListIndex<Element>.self, element)
    }

    /// Returns the last index of an element, or nil when it is not there; the thread is blocked until that is known.
    @available(*, noasync)
    public func lastIndex(of element: Element) throws -> Int? {
        try handle.perform(ListLastIndex<Element>.self, element)
    }

    /// Returns the last index of an element, or nil when it is not there; the task is suspended until that is known.
    public func lastIndex(of element: Element) async throws -> Int? {
        try await handle.perform(ListLastIndex<Element>.self, element)
    }

    /// Returns how often an element is there; the thread is blocked until that is known.
    @available(*, noasync)
    public func count(of element: Element) throws -> Int {
        try handle.perform(ListCountOf<Element>.self, element)
    }

    /// Returns how often an element is there; the task is suspended until that is known.
    public func count(of element: Element) async throws -> Int {
        try await handle.perform(ListCountOf<Element>.self, element)
    }

    /// Removes the first that equals `element`, and returns whether there was one; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func remove(_ element: Element) throws -> Bool {
        try handle.perform(ListRemoveElement<Element>.self, element)
    }

    /// Removes the first that equals `element`, and returns whether there was one; the task is suspended until that is done.
    @discardableResult
    public func remove(_ element: Element) async throws -> Bool {
        try await handle.perform(ListRemoveElement<Element>.self, element)
    }
}

extension ManagedList where Element: Comparable {
    /// Sorts the elements; the thread is blocked until that is done.
    @available(*, noasync)
    public func sort() throws {
        _ = try handle.perform(ListSort<Element>.self, Nothing())
    }

    /// Sorts the elements; the task is suspended until that is done.
    public func sort() async throws {
        _ = try await handle.perform(ListSort<Element>.self, Nothing())
    }

    /// Returns the smallest element, or nil when there is none; the thread is blocked until that is known.
    @available(*, noasync)
    public func min() throws -> Element? {
        try handle.perform(ListMin<Element>.self, Nothing())
    }

    /// Returns the smallest element, or nil when there is none; the task is suspended until that is known.
    public func min() async throws -> Element? {
        try await handle.perform(ListMin<Element>.self, Nothing())
    }

    /// Returns the largest element, or nil when there is none; the thread is blocked until that is known.
    @available(*, noasync)
    public func max() throws -> Element? {
        try handle.perform(ListMax<Element>.self, Nothing())
    }

    /// Returns the largest element, or nil when there is none; the task is suspended until that is known.
    public func max() async throws -> Element? {
        try await handle.perform(ListMax<Element>.self, Nothing())
    }
}
