// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// A dictionary in a ``Manager``, shared by all processes that have a handle of it.
///
/// ```swift
/// let ages = try manager.dictionary(of: String.self, to: Int.self)
/// try ages.setValue(42, forKey: "Arthur")
/// try ages.managed.withValue { $0["Arthur", default: 0] += 1 }
/// ```
///
/// Each call is made as a whole, alone with the dictionary. Values are copies, as in ``ManagedList``.
///
/// Calls throw ``ManagerLost`` when the manager has ended or cannot be reached. Those of tasks also throw `CancellationError` when the task is cancelled while it waits for the answer: the call is made all the same.
public final class ManagedDictionary<Key: Codable & Hashable & Sendable, Value: Codable & Sendable>: Codable, Sendable {
    let handle: Managed<[Key: Value]>

    /// Creates the handle of a value that lives in a manager.
    init(_ handle: Managed<[Key: Value]>) {
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
    public var managed: Managed<[Key: Value]> { handle }
}

extension ManagedDictionary: Hashable {
    /// Whether both are handles of the same value. The values are not compared.
    public static func == (a: ManagedDictionary, b: ManagedDictionary) -> Bool { a.handle == b.handle }

    /// Hashes which value it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedDictionary: CustomStringConvertible {
    /// The type and the number of the value; the value itself is elsewhere.
    public var description: String { "ManagedDictionary\(handle)" }
}

extension Manager {
    /// Makes an empty dictionary in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func dictionary<Key: Codable & Hashable & Sendable, Value: Codable & Sendable>(
        of keys: Key.Type,
        to values: Value.Type
    ) throws -> ManagedDictionary<Key, Value> {
        ManagedDictionary<Key, Value>(
            try client.host([Key: Value].self, .operation(DictionaryMake<Key, Value>.self), [Key: Value]())
        )
    }

    /// Makes an empty dictionary in the manager; the task is suspended until it is made.
    public func dictionary<Key: Codable & Hashable & Sendable, Value: Codable & Sendable>(
        of keys: Key.Type,
        to values: Value.Type
    ) async throws -> ManagedDictionary<Key, Value> {
        ManagedDictionary<Key, Value>(
            try await client.host([Key: Value].self, .operation(DictionaryMake<Key, Value>.self), [Key: Value]())
        )
    }

    /// Makes a dictionary with `contents` in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func dictionary<Key: Codable & Hashable & Sendable, Value: Codable & Sendable>(
        _ contents: [Key: Value]
    ) throws -> ManagedDictionary<Key, Value> {
        ManagedDictionary<Key, Value>(
            try client.host([Key: Value].self, .operation(DictionaryMake<Key, Value>.self), contents)
        )
    }

    /// Makes a dictionary with `contents` in the manager; the task is suspended until it is made.
    public func dictionary<Key: Codable & Hashable & Sendable, Value: Codable & Sendable>(
        _ contents: [Key: Value]
    ) async throws -> ManagedDictionary<Key, Value> {
        ManagedDictionary<Key, Value>(
            try await client.host([Key: Value].self, .operation(DictionaryMake<Key, Value>.self), contents)
        )
    }
}
