// SPDX-License-Identifier: Apache-2.0

/// Which functions a manager knows from this process, and by which number.
package struct FunctionNumbers<Key: Hashable> {
    /// As many as a server remembers.
    private static var limit: Int { 1 << 15 }

    private var numbers: [Key: (number: UInt32, isKnown: Bool)] = [:]
    /// The one that was asked for last, and is known: mostly it is asked for again.
    private var last: (key: Key, number: UInt32)?

    /// Creates the numbers of a new channel.
    package init() {}

    /// How to tell a function.
    package enum Reference: Equatable {
        case known(UInt32)
        /// With its definition, until the manager has answered once.
        case remembered(UInt32)
        /// With its definition, each time: there are too many.
        case once
    }

    /// Returns how to tell the function of that key.
    package mutating func reference(to key: Key) -> Reference {
        if let last, last.key == key { return .known(last.number) }
        if let entry = numbers[key] {
            guard entry.isKnown else { return .remembered(entry.number) }
            last = (key, entry.number)
            return .known(entry.number)
        }
        guard numbers.count < Self.limit else { return .once }
        let number = UInt32(numbers.count + 1)
        numbers[key] = (number, false)
        return .remembered(number)
    }

    /// Notes that the manager knows the function.
    package mutating func noteKnown(_ key: Key) {
        guard let entry = numbers[key] else { return }
        numbers[key] = (entry.number, true)
    }
}
