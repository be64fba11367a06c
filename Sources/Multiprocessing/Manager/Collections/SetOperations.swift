// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// Makes a set.
enum SetMake<Element: Portable & Hashable>: ManagedMaker {
    static func make(_ elements: Set<Element>) -> Set<Element> { elements }
}

/// Inserts an element.
enum SetInsert<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Element) -> Bool {
        value.insert(argument).inserted
    }
}

/// Removes an element.
enum SetRemove<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Element) -> Bool {
        value.remove(argument) != nil
    }
}

/// Removes any element.
enum SetPop<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _: Nothing) -> Element? {
        value.popFirst()
    }
}

/// Replaces all elements.
enum SetReset<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Nothing {
        value = argument
        return Nothing()
    }
}

/// Inserts elements.
enum SetUnite<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Nothing {
        value.formUnion(argument)
        return Nothing()
    }
}

/// Removes other elements.
enum SetIntersect<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Nothing {
        value.formIntersection(argument)
        return Nothing()
    }
}

/// Removes elements.
enum SetSubtract<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Nothing {
        value.subtract(argument)
        return Nothing()
    }
}

/// Removes common elements and inserts others.
enum SetDiffer<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Nothing {
        value.formSymmetricDifference(argument)
        return Nothing()
    }
}

/// Returns all elements.
enum SetAll<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _: Nothing) -> Set<Element> {
        value
    }
}

/// Returns whether an element is there.
enum SetContains<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Element) -> Bool {
        value.contains(argument)
    }
}

/// Returns the number of elements.
enum SetCount<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _: Nothing) -> Int {
        value.count
    }
}

/// Returns the common elements.
enum SetCommon<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Set<Element> {
        value.intersection(argument)
    }
}

/// Returns the elements that are only here.
enum SetRest<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Set<Element> {
        value.subtracting(argument)
    }
}

/// Compares with a set that may have more.
enum SetIsSubset<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Bool {
        value.isSubset(of: argument)
    }
}

/// Compares with a set that may have less.
enum SetIsSuperset<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Bool {
        value.isSuperset(of: argument)
    }
}

/// Compares with a set that may have nothing in common.
enum SetIsDisjoint<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Bool {
        value.isDisjoint(with: argument)
    }
}

/// Inserts an element in place of the equal one.
enum SetUpdate<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Element) -> Element? {
        value.update(with: argument)
    }
}

/// Compares with a set that has more.
enum SetIsStrictSubset<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Bool {
        value.isStrictSubset(of: argument)
    }
}

/// Compares with a set that has less.
enum SetIsStrictSuperset<Element: Portable & Hashable>: ManagedOperation {
    static func perform(_ value: inout Set<Element>, _ argument: Set<Element>) -> Bool {
        value.isStrictSuperset(of: argument)
    }
}
