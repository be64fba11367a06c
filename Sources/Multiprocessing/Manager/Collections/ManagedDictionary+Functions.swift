// SPDX-License-Identifier: Apache-2.0

// The methods of a dictionary that take a function, which is called in the manager, alone with the dictionary.

extension ManagedDictionary {
    /// Sets the values of several keys, in one step; where a key has one, `combine` makes the new value of that and the other; the thread is blocked until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func merge(
        _ other: [Key: Value],
        uniquingKeysWith combine: @escaping @Sendable (Value, Value) throws -> Value
    ) throws {
        try handle.withValue(with: other) { try $0.merge($1, uniquingKeysWith: combine) }
    }

    /// Sets the values of several keys, in one step; where a key has one, `combine` makes the new value of that and the other; the task is suspended until that is done.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func merge(
        _ other: [Key: Value],
        uniquingKeysWith combine: @escaping @Sendable (Value, Value) throws -> Value
    ) async throws {
        try await handle.withValue(with: other) { try $0.merge($1, uniquingKeysWith: combine) }
    }

    /// Returns the keys and values that `isIncluded` is true for; the dictionary stays as it is; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func filter(
        _ isIncluded: @escaping @Sendable (Key, Value) throws -> Bool
    ) throws -> [Key: Value] {
        try handle.withValue { try $0.filter { try isIncluded($0.key, $0.value) } }
    }

    /// Returns the keys and values that `isIncluded` is true for; the dictionary stays as it is; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func filter(
        _ isIncluded: @escaping @Sendable (Key, Value) throws -> Bool
    ) async throws -> [Key: Value] {
        try await handle.withValue { try $0.filter { try isIncluded($0.key, $0.value) } }
    }

    /// Returns the keys with what `transform` makes of their values; the dictionary stays as it is; the thread is blocked until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    @available(*, noasync)
    public func mapValues<T: Codable & Sendable>(
        _ transform: @escaping @Sendable (Value) throws -> T
    ) throws -> [Key: T] {
        try handle.withValue { try $0.mapValues(transform) }
    }

    /// Returns the keys with what `transform` makes of their values; the dictionary stays as it is; the task is suspended until that is known.
    ///
    /// - Throws: What the function throws; `FunctionNotPortable` when it cannot be carried: it is called in the manager.
    public func mapValues<T: Codable & Sendable>(
        _ transform: @escaping @Sendable (Value) throws -> T
    ) async throws -> [Key: T] {
        try await handle.withValue { try $0.mapValues(transform) }
    }
}
