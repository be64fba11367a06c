// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// A list in a ``Manager``, shared by all processes that have a handle of it: what Python calls a list proxy.
///
/// ```swift
/// let list = try manager.list(of: String.self)
/// let process = ChildProcess { try list.append("Hello") }
/// ```
///
/// Each call is made as a whole, alone with the list; calls of several processes come one after the other. Something in several steps, such as "append unless it is there", belongs into one
/// ``update(_:)-5dk2m``. Elements are values: what a call returns is a copy, and changing it changes nothing in the list. An element that is itself a handle stands for the same value in every process.
public final class ManagedList<Element: Codable & Sendable>: Codable, Sendable {
    let handle: Managed<[Element]>

    /// Creates the handle of a list.
    init(_ handle: Managed<[Element]>) {
        self.handle = handle
    }

    /// Opens the handle in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        handle = try Managed(from: decoder)
    }

    /// Encodes the handle, not the elements, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try handle.encode(to: encoder)
    }

    /// Appends an element; the thread is blocked until that is done.
    @available(*, noasync)
    public func append(_ element: Element) throws {
        _ = try handle.perform(ListAppend<Element>.self, element)
    }

    /// Appends an element; the task is suspended until that is done.
    public func append(_ element: Element) async throws {
        _ = try await handle.perform(ListAppend<Element>.self, element)
    }

    /// Returns all elements; the thread is blocked until they are there.
    @available(*, noasync)
    public func value() throws -> [Element] {
        try handle.perform(ListAll<Element>.self, Nothing())
    }

    /// Returns all elements; the task is suspended until they are there.
    public func value() async throws -> [Element] {
        try await handle.perform(ListAll<Element>.self, Nothing())
    }

    /// Returns the number of elements; the thread is blocked until it is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try handle.perform(ListCount<Element>.self, Nothing())
    }

    /// Returns the number of elements; the task is suspended until it is there.
    public func count() async throws -> Int {
        try await handle.perform(ListCount<Element>.self, Nothing())
    }
}

extension Manager {
    /// Makes an empty list in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func list<Element: Codable & Sendable>(of type: Element.Type) throws -> ManagedList<Element> {
        ManagedList(try client.host([Element].self, .operation(ListMake<Element>.self), [Element]()))
    }

    /// Makes an empty list in the manager; the task is suspended until it is made.
    public func list<Element: Codable & Sendable>(of type: Element.Type) async throws -> ManagedList<Element> {
        ManagedList(try await client.host([Element].self, .operation(ListMake<Element>.self), [Element]()))
    }
}

enum ListMake<Element: Portable>: ManagedMaker {
    static func make(_ elements: [Element]) -> [Element] { elements }
}

enum ListAppend<Element: Portable>: ManagedOperation {
    static func perform(_ list: inout [Element], _ element: Element) -> Nothing {
        list.append(element)
        return Nothing()
    }
}

enum ListAll<Element: Portable>: ManagedOperation {
    static func perform(_ list: inout [Element], _: Nothing) -> [Element] { list }
}

enum ListCount<Element: Portable>: ManagedOperation {
    static func perform(_ list: inout [Element], _: Nothing) -> Int { list.count }
}
