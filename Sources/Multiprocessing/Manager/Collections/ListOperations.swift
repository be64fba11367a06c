// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// Makes a list.
enum ListMake<Element: Portable>: ManagedMaker {
    static func make(_ elements: [Element]) -> [Element] { elements }
}

/// Checks indices where a wrong one must not end the manager.
enum ListIndices {
    /// Throws unless there is an element at `index`.
    static func check(_ index: Int, count: Int) throws {
        guard index >= 0, index < count else {
            throw ManagerError(.outOfRange, "there is no element at index \(index) in a list of \(count)")
        }
    }

    /// Throws unless all of `range` is there; its end may be that of the list.
    static func check(_ range: Range<Int>, count: Int) throws {
        guard range.lowerBound >= 0, range.upperBound <= count else {
            throw ManagerError(.outOfRange, "\(range) is not within a list of \(count)")
        }
    }
}

/// Appends an element.
enum ListAppend<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Element) -> Nothing {
        value.append(argument)
        return Nothing()
    }
}

/// Appends elements.
enum ListAppendAll<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: [Element]) -> Nothing {
        value.append(contentsOf: argument)
        return Nothing()
    }
}

/// Inserts elements.
enum ListInsert<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Two<Int, [Element]>) throws -> Nothing {
        try ListIndices.check(argument.first..<argument.first, count: value.count)
        value.insert(contentsOf: argument.second, at: argument.first)
        return Nothing()
    }
}

/// Replaces an element.
enum ListSet<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Two<Int, Element>) throws -> Nothing {
        try ListIndices.check(argument.first, count: value.count)
        value[argument.first] = argument.second
        return Nothing()
    }
}

/// Replaces elements.
enum ListReplace<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Two<Range<Int>, [Element]>) throws -> Nothing {
        try ListIndices.check(argument.first, count: value.count)
        value.replaceSubrange(argument.first, with: argument.second)
        return Nothing()
    }
}

/// Removes an element.
enum ListRemove<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Int) throws -> Element {
        try ListIndices.check(argument, count: value.count)
        return value.remove(at: argument)
    }
}

/// Removes the first element.
enum ListPopFirst<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.isEmpty ? nil : value.removeFirst()
    }
}

/// Removes the last element.
enum ListPopLast<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.popLast()
    }
}

/// Replaces all elements.
enum ListReset<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: [Element]) -> Nothing {
        value = argument
        return Nothing()
    }
}

/// Exchanges two elements.
enum ListSwap<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Two<Int, Int>) throws -> Nothing {
        try ListIndices.check(argument.first, count: value.count)
        try ListIndices.check(argument.second, count: value.count)
        value.swapAt(argument.first, argument.second)
        return Nothing()
    }
}

/// Reverses the order.
enum ListReverse<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Nothing {
        value.reverse()
        return Nothing()
    }
}

/// Repeats all elements.
enum ListRepeat<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Int) -> Nothing {
        let once = value
        if argument < 1 { value = [] }
        for _ in 0..<max(0, argument - 1) { value += once }
        return Nothing()
    }
}

/// Returns all elements.
enum ListAll<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> [Element] {
        value
    }
}

/// Returns the number of elements.
enum ListCount<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Int {
        value.count
    }
}

/// Returns an element.
enum ListElement<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Int) throws -> Element {
        try ListIndices.check(argument, count: value.count)
        return value[argument]
    }
}

/// Returns some elements.
enum ListElements<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Range<Int>) throws -> [Element] {
        try ListIndices.check(argument, count: value.count)
        return Array(value[argument])
    }
}

/// Returns the first element.
enum ListFirst<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.first
    }
}

/// Returns the last element.
enum ListLast<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.last
    }
}

/// Returns the index of an element.
enum ListIndex<Element: Portable & Equatable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Element) -> Int? {
        value.firstIndex(of: argument)
    }
}

/// Counts an element.
enum ListCountOf<Element: Portable & Equatable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Element) -> Int {
        value.reduce(0) { $1 == argument ? $0 + 1 : $0 }
    }
}

/// Removes an element.
enum ListRemoveElement<Element: Portable & Equatable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Element) -> Bool {
        guard let index = value.firstIndex(of: argument) else { return false }
        value.remove(at: index)
        return true
    }
}

/// Sorts the elements.
enum ListSort<Element: Portable & Comparable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Nothing {
        value.sort()
        return Nothing()
    }
}

/// Returns the last index of an element.
enum ListLastIndex<Element: Portable & Equatable>: ManagedOperation {
    static func perform(_ value: inout [Element], _ argument: Element) -> Int? {
        value.lastIndex(of: argument)
    }
}

/// Puts the elements in a random order.
enum ListShuffle<Element: Portable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Nothing {
        value.shuffle()
        return Nothing()
    }
}

/// Returns the smallest element.
enum ListMin<Element: Portable & Comparable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.min()
    }
}

/// Returns the largest element.
enum ListMax<Element: Portable & Comparable>: ManagedOperation {
    static func perform(_ value: inout [Element], _: Nothing) -> Element? {
        value.max()
    }
}
