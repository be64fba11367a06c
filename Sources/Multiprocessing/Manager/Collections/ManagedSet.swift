// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// A set in a ``Manager``, shared by all processes that have a handle of it.
///
/// ```swift
/// let seen = try manager.set(of: String.self)
/// if try seen.insert("page") { … }
/// ```
///
/// Each call is made as a whole, alone with the set: of several processes that insert the same element, one is told that it is new.
///
/// Calls throw ``ManagerLost`` when the manager has ended or cannot be reached. Those of tasks also throw `CancellationError` when the task is cancelled while it waits for the answer: the call is made all the same.
public final class ManagedSet<Element: Codable & Hashable & Sendable>: Codable, Sendable {
    let handle: Managed<Set<Element>>

    /// Creates the handle of a value that lives in a manager.
    init(_ handle: Managed<Set<Element>>) {
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
    public var managed: Managed<Set<Element>> { handle }
}

extension ManagedSet: Hashable {
    /// Whether both are handles of the same value. The values are not compared.
    public static func == (a: ManagedSet, b: ManagedSet) -> Bool { a.handle == b.handle }

    /// Hashes which value it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedSet: CustomStringConvertible {
    /// The type and the number of the value; the value itself is elsewhere.
    public var description: String { "ManagedSet\(handle)" }
}

extension Manager {
    /// Makes an empty set in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func set<Element: Codable & Hashable & Sendable>(of type: Element.Type) throws -> ManagedSet<Element> {
        ManagedSet<Element>(try client.host(Set<Element>.self, .operation(SetMake<Element>.self), Set<Element>()))
    }

    /// Makes an empty set in the manager; the task is suspended until it is made.
    public func set<Element: Codable & Hashable & Sendable>(of type: Element.Type) async throws -> ManagedSet<Element> {
        ManagedSet<Element>(try await client.host(Set<Element>.self, .operation(SetMake<Element>.self), Set<Element>()))
    }

    /// Makes a set of `elements` in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func set<Element: Codable & Hashable & Sendable>(_ elements: Set<Element>) throws -> ManagedSet<Element> {
        ManagedSet<Element>(try client.host(Set<Element>.self, .operation(SetMake<Element>.self), elements))
    }

    /// Makes a set of `elements` in the manager; the task is suspended until it is made.
    public func set<Element: Codable & Hashable & Sendable>(
        _ elements: Set<Element>
    ) async throws -> ManagedSet<Element> {
        ManagedSet<Element>(try await client.host(Set<Element>.self, .operation(SetMake<Element>.self), elements))
    }
}
