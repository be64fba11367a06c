// SPDX-License-Identifier: Apache-2.0

/// What can cross a process boundary.
package typealias Portable = Codable & Sendable

/// How a function is called.
struct FunctionShape: OptionSet {
    let rawValue: UInt8

    /// It must be awaited.
    static let isAsync = FunctionShape(rawValue: 1)
    /// It returns a value; otherwise `Void`.
    static let hasResult = FunctionShape(rawValue: 2)
    /// It was written with no parameters. (A function over a parameter pack that happens to be empty is called in another way.)
    static let isClosure = FunctionShape(rawValue: 4)

    /// All that a `ReceivedFunction` can have.
    static let all: FunctionShape = [.isAsync, .hasResult, .isClosure]

    /// It changes a value of any type, its first parameter, in place.
    static let isMutation = FunctionShape(rawValue: 8)
    /// It takes nothing and returns a value of any type.
    static let isMaker = FunctionShape(rawValue: 16)
}

/// A list of types, as a type.
struct TypeList<each Element: Portable> {}

/// What stores a function and nothing else, at the function's natural type.
protocol FunctionHolder {
    /// The types of its arguments. They are asked of the holder, when the function is encoded for the first time: to name a list of them takes the runtime as long as a good part of a call.
    static var argumentTypes: [any Any.Type] { get }
    /// The type of its result; nil for `Void`.
    static var resultType: (any Any.Type)? { get }
}

extension FunctionHolder {
    static var argumentTypes: [any Any.Type] { [] }
    static var resultType: (any Any.Type)? { nil }

    /// The words of the function.
    var words: FunctionWords { FunctionWords(of: self) }
}

/// The types of a pack, in order.
private func list<each Element>(_: repeat (each Element).Type) -> [any Any.Type] {
    var types: [any Any.Type] = []
    repeat types.append((each Element).self)
    return types
}

// A holder for each shape whose stored function has exactly the type that callers pass: any other would make the compiler wrap the function in a conversion.

/// A synchronous function with arguments and a result.
struct SyncFunction<each Argument, Result>: FunctionHolder {
    static var argumentTypes: [any Any.Type] { list(repeat (each Argument).self) }
    static var resultType: (any Any.Type)? { Result.self }

    var body: @Sendable (repeat each Argument) throws -> Result
}

/// An asynchronous function with arguments and a result.
struct AsyncFunction<each Argument, Result>: FunctionHolder {
    static var argumentTypes: [any Any.Type] { list(repeat (each Argument).self) }
    static var resultType: (any Any.Type)? { Result.self }

    var body: @Sendable @concurrent (repeat each Argument) async throws -> Result
}

/// A synchronous function with arguments and no result.
struct SyncProcedure<each Argument>: FunctionHolder {
    static var argumentTypes: [any Any.Type] { list(repeat (each Argument).self) }

    var body: @Sendable (repeat each Argument) throws -> Void
}

/// An asynchronous function with arguments and no result.
struct AsyncProcedure<each Argument>: FunctionHolder {
    static var argumentTypes: [any Any.Type] { list(repeat (each Argument).self) }

    var body: @Sendable @concurrent (repeat each Argument) async throws -> Void
}

/// A synchronous function without arguments that returns a result.
struct SyncClosure<Result>: FunctionHolder {
    static var resultType: (any Any.Type)? { Result.self }

    var body: @Sendable () throws -> Result
}

/// An asynchronous function without arguments that returns a result.
struct AsyncClosure<Result>: FunctionHolder {
    static var resultType: (any Any.Type)? { Result.self }

    var body: @Sendable () async throws -> Result
}

/// A synchronous function without arguments or result.
struct SyncAction: FunctionHolder {
    var body: @Sendable () throws -> Void
}

/// An asynchronous function without arguments or result.
struct AsyncAction: FunctionHolder {
    var body: @Sendable () async throws -> Void
}
