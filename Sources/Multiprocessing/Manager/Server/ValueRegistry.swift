// SPDX-License-Identifier: Apache-2.0

/// The values of a manager, each with the number of references to it: those of all clients, and one for each handle under way between processes.
package struct ValueRegistry<Value> {
    private struct Entry {
        let value: Value
        var references: Int
    }

    private var entries: [UInt64: Entry] = [:]
    private var lastNumber: UInt64 = 0

    /// Creates a registry without values, whose numbers will be above `firstNumber`.
    package init(firstNumber: UInt64 = 0) {
        lastNumber = firstNumber
    }

    /// The number of values.
    package var count: Int { entries.count }

    /// Adds a value with one reference. Returns its number, which no other value will ever have.
    package mutating func add(_ value: Value) -> UInt64 {
        lastNumber += 1
        entries[lastNumber] = Entry(value: value, references: 1)
        return lastNumber
    }

    /// Adds a value under a number of an earlier server's, with one reference.
    package mutating func add(_ value: Value, as number: UInt64) {
        entries[number] = Entry(value: value, references: 1)
    }

    /// Adds a reference. Returns the value, or nil when there is none of that number.
    package mutating func retain(_ number: UInt64) -> Value? {
        guard var entry = entries[number] else { return nil }
        entry.references += 1
        entries[number] = entry
        return entry.value
    }

    /// Takes `count` references away. Returns the value when they were the last, to be let go of outside the lock.
    package mutating func release(_ number: UInt64, count: Int = 1) -> Value? {
        guard var entry = entries[number] else { return nil }
        entry.references -= count
        entries[number] = entry.references > 0 ? entry : nil
        return entry.references > 0 ? nil : entry.value
    }
}

/// The references of one client.
package struct ClientReferences<Value> {
    private var entries: [UInt64: (value: Value, count: Int)] = [:]
    private var hasEnded = false

    /// Creates the references of a client that has none.
    package init() {}

    /// The value, if the client has a reference to it.
    package subscript(number: UInt64) -> Value? { entries[number]?.value }

    /// Notes a reference. Returns false when the client is gone, which has no references any more.
    package mutating func add(_ number: UInt64, _ value: Value) -> Bool {
        guard !hasEnded else { return false }
        entries[number] = (value, (entries[number]?.count ?? 0) + 1)
        return true
    }

    /// Forgets a reference. Returns whether there was one.
    package mutating func remove(_ number: UInt64) -> Bool {
        guard let entry = entries[number] else { return false }
        entries[number] = entry.count > 1 ? (entry.value, entry.count - 1) : nil
        return true
    }

    /// Forgets all. Returns how many there were to each value.
    package mutating func end() -> [(number: UInt64, count: Int)] {
        hasEnded = true
        defer { entries = [:] }
        return entries.map { ($0.key, $0.value.count) }
    }
}
