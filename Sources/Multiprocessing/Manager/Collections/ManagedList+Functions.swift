// SPDX-License-Identifier: Apache-2.0

// The methods of a list that take a function, which is called in the manager, alone with the list.

extension ManagedList {
    /// Sorts the elements so that `areInIncreasingOrder` is true for each and those after it; the thread is blocked until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func sort(by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool) throws {
        try handle.withValue { try $0.sort(by: areInIncreasingOrder) }
    }

    /// Sorts the elements so that `areInIncreasingOrder` is true for each and those after it; the task is suspended until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func sort(by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool) async throws {
        try await handle.withValue { try $0.sort(by: areInIncreasingOrder) }
    }

    /// Removes the elements for which `shouldBeRemoved` returns true, in one step; the thread is blocked until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func removeAll(where shouldBeRemoved: @escaping @Sendable (Element) throws -> Bool) throws {
        try handle.withValue { try $0.removeAll(where: shouldBeRemoved) }
    }

    /// Removes the elements for which `shouldBeRemoved` returns true, in one step; the task is suspended until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func removeAll(where shouldBeRemoved: @escaping @Sendable (Element) throws -> Bool) async throws {
        try await handle.withValue { try $0.removeAll(where: shouldBeRemoved) }
    }

    /// Returns the first index whose element `predicate` is true for, or nil; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func firstIndex(where predicate: @escaping @Sendable (Element) throws -> Bool) throws -> Int? {
        try handle.withValue { try $0.firstIndex(where: predicate) }
    }

    /// Returns the first index whose element `predicate` is true for, or nil; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func firstIndex(where predicate: @escaping @Sendable (Element) throws -> Bool) async throws -> Int? {
        try await handle.withValue { try $0.firstIndex(where: predicate) }
    }

    /// Returns the last index whose element `predicate` is true for, or nil; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func lastIndex(where predicate: @escaping @Sendable (Element) throws -> Bool) throws -> Int? {
        try handle.withValue { try $0.lastIndex(where: predicate) }
    }

    /// Returns the last index whose element `predicate` is true for, or nil; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func lastIndex(where predicate: @escaping @Sendable (Element) throws -> Bool) async throws -> Int? {
        try await handle.withValue { try $0.lastIndex(where: predicate) }
    }

    /// Returns the first element that `predicate` is true for, or nil; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func first(where predicate: @escaping @Sendable (Element) throws -> Bool) throws -> Element? {
        try handle.withValue { try $0.first(where: predicate) }
    }

    /// Returns the first element that `predicate` is true for, or nil; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func first(where predicate: @escaping @Sendable (Element) throws -> Bool) async throws -> Element? {
        try await handle.withValue { try $0.first(where: predicate) }
    }

    /// Returns whether there is an element that `predicate` is true for; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func contains(where predicate: @escaping @Sendable (Element) throws -> Bool) throws -> Bool {
        try handle.withValue { try $0.contains(where: predicate) }
    }

    /// Returns whether there is an element that `predicate` is true for; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func contains(where predicate: @escaping @Sendable (Element) throws -> Bool) async throws -> Bool {
        try await handle.withValue { try $0.contains(where: predicate) }
    }

    /// Returns the elements that `isIncluded` is true for; the list stays as it is; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) throws -> [Element] {
        try handle.withValue { try $0.filter(isIncluded) }
    }

    /// Returns the elements that `isIncluded` is true for; the list stays as it is; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func filter(_ isIncluded: @escaping @Sendable (Element) throws -> Bool) async throws -> [Element] {
        try await handle.withValue { try $0.filter(isIncluded) }
    }
}
