// SPDX-License-Identifier: Apache-2.0

extension ManagedDictionary {
    /// Returns all keys and values; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value() throws -> [Key: Value] {
        try handle.perform(DictionaryAll<Key, Value>.self, Nothing())
    }

    /// Returns all keys and values; the task is suspended until the answer is there.
    public func value() async throws -> [Key: Value] {
        try await handle.perform(DictionaryAll<Key, Value>.self, Nothing())
    }

    /// Returns the value of a key, or nil; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value(forKey key: Key) throws -> Value? {
        try handle.perform(DictionaryValue<Key, Value>.self, key)
    }

    /// Returns the value of a key, or nil; the task is suspended until the answer is there.
    public func value(forKey key: Key) async throws -> Value? {
        try await handle.perform(DictionaryValue<Key, Value>.self, key)
    }

    /// Returns the value of a key, or `other` when it has none; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func value(forKey key: Key, default other: Value) throws -> Value {
        try handle.perform(DictionaryValue<Key, Value>.self, key) ?? other
    }

    /// Returns the value of a key, or `other` when it has none; the task is suspended until the answer is there.
    public func value(forKey key: Key, default other: Value) async throws -> Value {
        try await handle.perform(DictionaryValue<Key, Value>.self, key) ?? other
    }

    /// Returns whether a key is there; the thread is blocked until that is known.
    @available(*, noasync)
    public func contains(key: Key) throws -> Bool {
        try handle.perform(DictionaryContains<Key, Value>.self, key)
    }

    /// Returns whether a key is there; the task is suspended until that is known.
    public func contains(key: Key) async throws -> Bool {
        try await handle.perform(DictionaryContains<Key, Value>.self, key)
    }

    /// Returns the number of keys; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try handle.perform(DictionaryCount<Key, Value>.self, Nothing())
    }

    /// Returns the number of keys; the task is suspended until the answer is there.
    public func count() async throws -> Int {
        try await handle.perform(DictionaryCount<Key, Value>.self, Nothing())
    }

    /// Returns whether there is no key; the thread is blocked until that is known.
    @available(*, noasync)
    public func isEmpty() throws -> Bool {
        try handle.perform(DictionaryCount<Key, Value>.self, Nothing()) == 0
    }

    /// Returns whether there is no key; the task is suspended until that is known.
    public func isEmpty() async throws -> Bool {
        try await handle.perform(DictionaryCount<Key, Value>.self, Nothing()) == 0
    }

    /// Returns all keys; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func keys() throws -> [Key] {
        try handle.perform(DictionaryKeys<Key, Value>.self, Nothing())
    }

    /// Returns all keys; the task is suspended until the answer is there.
    public func keys() async throws -> [Key] {
        try await handle.perform(DictionaryKeys<Key, Value>.self, Nothing())
    }

    /// Returns all values; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func values() throws -> [Value] {
        try handle.perform(DictionaryValues<Key, Value>.self, Nothing())
    }

    /// Returns all values; the task is suspended until the answer is there.
    public func values() async throws -> [Value] {
        try await handle.perform(DictionaryValues<Key, Value>.self, Nothing())
    }
}
