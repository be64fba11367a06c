// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// A list in a ``Manager``, shared by all processes that have a handle of it.
///
/// ```swift
/// let list = try manager.list(of: String.self)
/// let process = ChildProcess { try list.append("Hello") }
/// ```
///
/// Each call is made as a whole, alone with the list; calls of several processes come one after the other. What takes several steps, such as "append unless it is there", is one call of
/// `managed.withValue`. Elements are values: what a call returns is a copy, and to change that changes nothing in the list. An element that is itself a handle stands for the same value in
/// every process.
///
/// Calls throw ``ManagerLost`` when the manager has ended or cannot be reached. Those of tasks also throw `CancellationError` when the task is cancelled while it waits for the answer: the call is made all the same.
public final class ManagedList<Element: Codable & Sendable>: Codable, Sendable {
    let handle: Managed<[Element]>

    /// Creates the handle of a value that lives in a manager.
    init(_ handle: Managed<[Element]>) {
        self.handle = handle
    }

    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost``.
    public init(from decoder: any Decoder) throws {
        handle = try Managed(from: decoder)
    }

    /// Encodes the handle, not what it stands for, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost``.
    public func encode(to encoder: any Encoder) throws {
        try handle.encode(to: encoder)
    }

    /// The same value as one of any type, for functions on it in several steps.
    public var managed: Managed<[Element]> { handle }
}

extension ManagedList: Hashable {
    /// Whether both are handles of the same value. The values are not compared.
    public static func == (a: ManagedList, b: ManagedList) -> Bool { a.handle == b.handle }

    /// Hashes which value it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedList: CustomStringConvertible {
    /// The type and the number of the value; the value itself is elsewhere.
    public var description: String { "ManagedList\(handle)" }
}

extension Manager {
    /// Makes an empty list in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func list<Element: Codable & Sendable>(of type: Element.Type) throws -> ManagedList<Element> {
        ManagedList<Element>(try client.host([Element].self, .operation(ListMake<Element>.self), [Element]()))
    }

    /// Makes an empty list in the manager; the task is suspended until it is made.
    public func list<Element: Codable & Sendable>(of type: Element.Type) async throws -> ManagedList<Element> {
        ManagedList<Element>(try await client.host([Element].self, .operation(ListMake<Element>.self), [Element]()))
    }

    /// Makes a list of `elements` in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func list<Element: Codable & Sendable>(_ elements: [Element]) throws -> ManagedList<Element> {
        ManagedList<Element>(try client.host([Element].self, .operation(ListMake<Element>.self), elements))
    }

    /// Makes a list of `elements` in the manager; the task is suspended until it is made.
    public func list<Element: Codable & Sendable>(_ elements: [Element]) async throws -> ManagedList<Element> {
        ManagedList<Element>(try await client.host([Element].self, .operation(ListMake<Element>.self), elements))
    }
}
