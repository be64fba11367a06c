// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

/// Something that the package itself does with a hosted value. A type rather than a closure, so that it is told once to a manager and is a number from then on.
protocol ManagedOperation {
    /// The type of the hosted values it is for.
    associatedtype Value
    /// What it needs besides; `Nothing` for nothing.
    associatedtype Argument: Portable
    /// What it gives; `Nothing` for nothing.
    associatedtype Result: Portable

    /// Does it, alone with the value.
    static func perform(_ value: inout Value, _ argument: Argument) throws -> Result
}

/// Makes a hosted value of a type that the package knows.
protocol ManagedMaker {
    /// The type of the value.
    associatedtype Value
    /// What it is made from.
    associatedtype Argument: Portable

    /// Makes it.
    static func make(_ argument: Argument) throws -> Value
}

/// No argument, or no result. Nothing is written for it.
struct Nothing: Portable {}

/// Two arguments.
struct Two<First: Portable, Second: Portable>: Portable {
    let first: First
    let second: Second

    init(_ first: First, _ second: Second) {
        self.first = first
        self.second = second
    }
}
