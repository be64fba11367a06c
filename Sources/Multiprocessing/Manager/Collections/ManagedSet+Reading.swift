// SPDX-License-Identifier: Apache-2.0

extension ManagedSet {
    /// Returns all elements; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value() throws -> Set<Element> {
        try handle.perform(SetAll<Element>.self, Nothing())
    }

    /// Returns all elements; the task is suspended until the answer is there.
    public func value() async throws -> Set<Element> {
        try await handle.perform(SetAll<Element>.self, Nothing())
    }

    /// Returns whether an element is there; the thread is blocked until that is known.
    @available(*, noasync)
    public func contains(_ element: Element) throws -> Bool {
        try handle.perform(SetContains<Element>.self, element)
    }

    /// Returns whether an element is there; the task is suspended until that is known.
    public func contains(_ element: Element) async throws -> Bool {
        try await handle.perform(SetContains<Element>.self, element)
    }

    /// Returns the number of elements; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try handle.perform(SetCount<Element>.self, Nothing())
    }

    /// Returns the number of elements; the task is suspended until the answer is there.
    public func count() async throws -> Int {
        try await handle.perform(SetCount<Element>.self, Nothing())
    }

    /// Returns whether there is no element; the thread is blocked until that is known.
    @available(*, noasync)
    public func isEmpty() throws -> Bool {
        try handle.perform(SetCount<Element>.self, Nothing()) == 0
    }

    /// Returns whether there is no element; the task is suspended until that is known.
    public func isEmpty() async throws -> Bool {
        try await handle.perform(SetCount<Element>.self, Nothing()) == 0
    }

    /// Returns a plain set of the elements here and in `other`; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func union(_ other: Set<Element>) throws -> Set<Element> {
        try handle.perform(SetAll<Element>.self, Nothing()).union(other)
    }

    /// Returns a plain set of the elements here and in `other`; the task is suspended until the answer is there.
    public func union(_ other: Set<Element>) async throws -> Set<Element> {
        try await handle.perform(SetAll<Element>.self, Nothing()).union(other)
    }

    /// Returns a plain set of the elements that are in `other` as well; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func intersection(_ other: Set<Element>) throws -> Set<Element> {
        try handle.perform(SetCommon<Element>.self, other)
    }

    /// Returns a plain set of the elements that are in `other` as well; the task is suspended until the answer is there.
    public func intersection(_ other: Set<Element>) async throws -> Set<Element> {
        try await handle.perform(SetCommon<Element>.self, other)
    }

    /// Returns a plain set of the elements that are not in `other`; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func subtracting(_ other: Set<Element>) throws -> Set<Element> {
        try handle.perform(SetRest<Element>.self, other)
    }

    /// Returns a plain set of the elements that are not in `other`; the task is suspended until the answer is there.
    public func subtracting(_ other: Set<Element>) async throws -> Set<Element> {
        try await handle.perform(SetRest<Element>.self, other)
    }

    /// Returns a plain set of the elements that are either here or in `other`; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func symmetricDifference(_ other: Set<Element>) throws -> Set<Element> {
        try handle.perform(SetAll<Element>.self, Nothing()).symmetricDifference(other)
    }

    /// Returns a plain set of the elements that are either here or in `other`; the task is suspended until the answer is there.
    public func symmetricDifference(_ other: Set<Element>) async throws -> Set<Element> {
        try await handle.perform(SetAll<Element>.self, Nothing()).symmetricDifference(other)
    }

    /// Returns whether all elements are in `other`; the thread is blocked until that is known.
    @available(*, noasync)
    public func isSubset(of other: Set<Element>) throws -> Bool {
        try handle.perform(SetIsSubset<Element>.self, other)
    }

    /// Returns whether all elements are in `other`; the task is suspended until that is known.
    public func isSubset(of other: Set<Element>) async throws -> Bool {
        try await handle.perform(SetIsSubset<Element>.self, other)
    }

    /// Returns whether all elements of `other` are here; the thread is blocked until that is known.
    @available(*, noasync)
    public func isSuperset(of other: Set<Element>) throws -> Bool {
        try handle.perform(SetIsSuperset<Element>.self, other)
    }

    /// Returns whether all elements of `other` are here; the task is suspended until that is known.
    public func isSuperset(of other: Set<Element>) async throws -> Bool {
        try await handle.perform(SetIsSuperset<Element>.self, other)
    }

    /// Returns whether no element is in `other`; the thread is blocked until that is known.
    @available(*, noasync)
    public func isDisjoint(with other: Set<Element>) throws -> Bool {
        try handle.perform(SetIsDisjoint<Element>.self, other)
    }

    /// Returns whether no element is in `other`; the task is suspended until that is known.
    public func isDisjoint(with other: Set<Element>) async throws -> Bool {
        try await handle.perform(SetIsDisjoint<Element>.self, other)
    }

    /// Returns whether all elements are in `other`, and others as well; the thread is blocked until that is known.
    @available(*, noasync)
    public func isStrictSubset(of other: Set<Element>) throws -> Bool {
        try handle.perform(SetIsStrictSubset<Element>.self, other)
    }

    /// Returns whether all elements are in `other`, and others as well; the task is suspended until that is known.
    public func isStrictSubset(of other: Set<Element>) async throws -> Bool {
        try await handle.perform(SetIsStrictSubset<Element>.self, other)
    }

    /// Returns whether all elements of `other` are here, and others as well; the thread is blocked until that is known.
    @available(*, noasync)
    public func isStrictSuperset(of other: Set<Element>) throws -> Bool {
        try handle.perform(SetIsStrictSuperset<Element>.self, other)
    }

    /// Returns whether all elements of `other` are here, and others as well; the task is suspended until that is known.
    public func isStrictSuperset(of other: Set<Element>) async throws -> Bool {
        try await handle.perform(SetIsStrictSuperset<Element>.self, other)
    }
}
