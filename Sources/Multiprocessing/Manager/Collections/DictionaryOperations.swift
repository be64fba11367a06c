// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// Makes a dictionary.
enum DictionaryMake<Key: Portable & Hashable, Value: Portable>: ManagedMaker {
    static func make(_ contents: [Key: Value]) -> [Key: Value] { contents }
}

/// Sets the value of a key.
enum DictionarySet<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Two<Key, Value>) -> Nothing {
        value[argument.first] = argument.second
        return Nothing()
    }
}

/// Sets the value of a key and returns the one before.
enum DictionaryUpdate<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Two<Key, Value>) -> Value? {
        value.updateValue(argument.second, forKey: argument.first)
    }
}

/// Sets the value of a key that has none.
enum DictionaryDefault<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Two<Key, Value>) -> Value {
        if let known = value[argument.first] { return known }
        value[argument.first] = argument.second
        return argument.second
    }
}

/// Removes a key.
enum DictionaryRemove<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Key) -> Value? {
        value.removeValue(forKey: argument)
    }
}

/// Removes any key.
enum DictionaryPop<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _: Nothing) -> Two<Key, Value>? {
        value.popFirst().map { Two($0.key, $0.value) }
    }
}

/// Sets the values of several keys.
enum DictionaryMerge<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: [Key: Value]) -> Nothing {
        value.merge(argument) { $1 }
        return Nothing()
    }
}

/// Replaces everything.
enum DictionaryReset<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: [Key: Value]) -> Nothing {
        value = argument
        return Nothing()
    }
}

/// Returns everything.
enum DictionaryAll<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _: Nothing) -> [Key: Value] {
        value
    }
}

/// Returns the value of a key.
enum DictionaryValue<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Key) -> Value? {
        value[argument]
    }
}

/// Returns whether a key is there.
enum DictionaryContains<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _ argument: Key) -> Bool {
        value[argument] != nil
    }
}

/// Returns the number of keys.
enum DictionaryCount<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _: Nothing) -> Int {
        value.count
    }
}

/// Returns all keys.
enum DictionaryKeys<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _: Nothing) -> [Key] {
        Array(value.keys)
    }
}

/// Returns all values.
enum DictionaryValues<Key: Portable & Hashable, Value: Portable>: ManagedOperation {
    static func perform(_ value: inout [Key: Value], _: Nothing) -> [Value] {
        Array(value.values)
    }
}
