// SPDX-License-Identifier: Apache-2.0

extension ManagedDictionary {
    /// Sets the value of a key; the thread is blocked until that is done.
    @available(*, noasync)
    public func setValue(_ value: Value, forKey key: Key) throws {
        _ = try handle.perform(DictionarySet<Key, Value>.self, Two(key, value))
    }

    /// Sets the value of a key; the task is suspended until that is done.
    public func setValue(_ value: Value, forKey key: Key) async throws {
        _ = try await handle.perform(DictionarySet<Key, Value>.self, Two(key, value))
    }

    /// Sets the value of a key and returns the one it had, or nil; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func updateValue(_ value: Value, forKey key: Key) throws -> Value? {
        try handle.perform(DictionaryUpdate<Key, Value>.self, Two(key, value))
    }

    /// Sets the value of a key and returns the one it had, or nil; the task is suspended until that is done.
    @discardableResult
    public func updateValue(_ value: Value, forKey key: Key) async throws -> Value? {
        try await handle.perform(DictionaryUpdate<Key, Value>.self, Two(key, value))
    }

    /// Sets the value of a key unless it has one, and returns the one it has then; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func setDefault(_ value: Value, forKey key: Key) throws -> Value {
        try handle.perform(DictionaryDefault<Key, Value>.self, Two(key, value))
    }

    /// Sets the value of a key unless it has one, and returns the one it has then; the task is suspended until that is done.
    @discardableResult
    public func setDefault(_ value: Value, forKey key: Key) async throws -> Value {
        try await handle.perform(DictionaryDefault<Key, Value>.self, Two(key, value))
    }

    /// Removes a key and returns the value it had, or nil; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func removeValue(forKey key: Key) throws -> Value? {
        try handle.perform(DictionaryRemove<Key, Value>.self, key)
    }

    /// Removes a key and returns the value it had, or nil; the task is suspended until that is done.
    @discardableResult
    public func removeValue(forKey key: Key) async throws -> Value? {
        try await handle.perform(DictionaryRemove<Key, Value>.self, key)
    }

    /// Removes any key and returns it with its value, or nil when there is none; the thread is blocked until that is done.
    @available(*, noasync)
    @discardableResult
    public func popFirst() throws -> (key: Key, value: Value)? {
        try handle.perform(DictionaryPop<Key, Value>.self, Nothing()).map { ($0.first, $0.second) }
    }

    /// Removes any key and returns it with its value, or nil when there is none; the task is suspended until that is done.
    @discardableResult
    public func popFirst() async throws -> (key: Key, value: Value)? {
        try await handle.perform(DictionaryPop<Key, Value>.self, Nothing()).map { ($0.first, $0.second) }
    }

    /// Sets the values of several keys, in one step; the thread is blocked until that is done.
    @available(*, noasync)
    public func merge(_ other: [Key: Value]) throws {
        _ = try handle.perform(DictionaryMerge<Key, Value>.self, other)
    }

    /// Sets the values of several keys, in one step; the task is suspended until that is done.
    public func merge(_ other: [Key: Value]) async throws {
        _ = try await handle.perform(DictionaryMerge<Key, Value>.self, other)
    }

    /// Removes all keys; the thread is blocked until that is done.
    @available(*, noasync)
    public func removeAll() throws {
        _ = try handle.perform(DictionaryReset<Key, Value>.self, [:])
    }

    /// Removes all keys; the task is suspended until that is done.
    public func removeAll() async throws {
        _ = try await handle.perform(DictionaryReset<Key, Value>.self, [:])
    }

    /// Replaces all keys and values; the thread is blocked until that is done.
    @available(*, noasync)
    public func setValue(_ value: [Key: Value]) throws {
        _ = try handle.perform(DictionaryReset<Key, Value>.self, value)
    }

    /// Replaces all keys and values; the task is suspended until that is done.
    public func setValue(_ value: [Key: Value]) async throws {
        _ = try await handle.perform(DictionaryReset<Key, Value>.self, value)
    }
}
