// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// Values by name in a ``Manager``, each of its own type, shared by all processes that have a handle of them.
///
/// ```swift
/// let settings = try manager.namespace()
/// try settings.set(10, forName: "limit")
/// let limit = try settings.get("limit", as: Int.self)
/// ```
///
/// Calls throw ``ManagerLost`` when the manager has ended or cannot be reached. Those of tasks also throw `CancellationError` when the task is cancelled while it waits for the answer: the call is made all the same.
public final class Namespace: Codable, Sendable {
    let handle: Managed<Names>

    /// What a namespace is in the manager.
    typealias Names = [String: any Codable & Sendable]

    /// Creates the handle of a namespace that lives in a manager.
    init(_ handle: Managed<Names>) {
        self.handle = handle
    }

    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost``.
    public init(from decoder: any Decoder) throws {
        handle = try Managed(from: decoder)
    }

    /// Encodes the handle, not the values, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost``.
    public func encode(to encoder: any Encoder) throws {
        try handle.encode(to: encoder)
    }

    // MARK: - From synchronous code

    /// Lets a name stand for a value; the thread is blocked until that is done.
    @available(*, noasync)
    public func set<Value: Codable & Sendable>(_ value: Value, forName name: String) throws {
        _ = try handle.perform(NamespaceSet<Value>.self, Two(name, value))
    }

    /// Returns the value of a name, or nil when it has none; the thread is blocked until it is there.
    ///
    /// - Throws: ``ManagerError`` (`otherType`) when it is of another type.
    @available(*, noasync)
    public func get<Value: Codable & Sendable>(_ name: String, as type: Value.Type = Value.self) throws -> Value? {
        try handle.perform(NamespaceGet<Value>.self, name)
    }

    /// Removes a name, and returns whether it had a value; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func remove(_ name: String) throws -> Bool {
        try handle.perform(NamespaceRemove.self, name)
    }

    /// Returns all names, sorted; the thread is blocked until they are there.
    @available(*, noasync)
    public func names() throws -> [String] {
        try handle.perform(NamespaceNames.self, Nothing())
    }

    // MARK: - From tasks

    /// Lets a name stand for a value; the task is suspended until that is done.
    public func set<Value: Codable & Sendable>(_ value: Value, forName name: String) async throws {
        _ = try await handle.perform(NamespaceSet<Value>.self, Two(name, value))
    }

    /// Returns the value of a name, or nil when it has none; the task is suspended until it is there.
    ///
    /// - Throws: ``ManagerError`` (`otherType`) when it is of another type.
    public func get<Value: Codable & Sendable>(
        _ name: String,
        as type: Value.Type = Value.self
    ) async throws -> Value? {
        try await handle.perform(NamespaceGet<Value>.self, name)
    }

    /// Removes a name, and returns whether it had a value; the task is suspended until that is done.
    @discardableResult
    public func remove(_ name: String) async throws -> Bool {
        try await handle.perform(NamespaceRemove.self, name)
    }

    /// Returns all names, sorted; the task is suspended until they are there.
    public func names() async throws -> [String] {
        try await handle.perform(NamespaceNames.self, Nothing())
    }
}

extension Manager {
    /// Makes an empty namespace in the manager; the thread is blocked until it is made.
    @available(*, noasync)
    public func namespace() throws -> Namespace {
        Namespace(try client.host(Namespace.Names.self, .operation(NamespaceMake.self), Nothing()))
    }

    /// Makes an empty namespace in the manager; the task is suspended until it is made.
    public func namespace() async throws -> Namespace {
        Namespace(try await client.host(Namespace.Names.self, .operation(NamespaceMake.self), Nothing()))
    }
}

/// Makes a namespace.
enum NamespaceMake: ManagedMaker {
    static func make(_: Nothing) -> Namespace.Names { [:] }
}

/// Sets the value of a name.
enum NamespaceSet<Value: Portable>: ManagedOperation {
    static func perform(_ names: inout Namespace.Names, _ argument: Two<String, Value>) -> Nothing {
        names[argument.first] = argument.second
        return Nothing()
    }
}

/// Returns the value of a name.
enum NamespaceGet<Value: Portable>: ManagedOperation {
    static func perform(_ names: inout Namespace.Names, _ name: String) throws -> Value? {
        guard let found = names[name] else { return nil }
        guard let value = found as? Value else {
            throw ManagerError(.otherType, "\(name) is a \(type(of: found)), not a \(Value.self)")
        }
        return value
    }
}

/// Removes a name.
enum NamespaceRemove: ManagedOperation {
    static func perform(_ names: inout Namespace.Names, _ name: String) -> Bool {
        names.removeValue(forKey: name) != nil
    }
}

/// Returns all names.
enum NamespaceNames: ManagedOperation {
    static func perform(_ names: inout Namespace.Names, _: Nothing) -> [String] { names.keys.sorted() }
}
