// SPDX-License-Identifier: Apache-2.0

package import MultiprocessingWireCoding

/// A function on a value of type `Value` that came from another process; made once, called often.
///
/// `@unchecked` is safe because it holds nothing but `@Sendable` functions.
package final class ReceivedMutation<Value>: @unchecked Sendable {
    /// A call whose argument is there.
    package enum Call {
        /// To be called on the current thread. The result is nil for a function that returns `Void`.
        case sync((inout Value) throws -> ResultEncoder?)
        /// To be awaited.
        case async((inout Value) async throws -> ResultEncoder?)
    }

    private let bindArgument: (inout WireReader, [CodingUserInfoKey: Any]) throws -> Call

    /// Reads a function that `PortableMutation` wrote.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes, other builds and functions on values of another type, and what decoding the captures throws.
    package init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        let shape = try MutationHeader.readShape(from: &reader)
        guard shape.contains(.isMutation), !shape.contains(.isMaker) else {
            throw FunctionNotPortable.corrupt("a function on a value is expected")
        }
        var references = ReferenceReader()
        references.bind(UInt64(shape.rawValue))
        guard try references.readType(from: &reader) == Value.self else {
            throw FunctionNotPortable.corrupt("the function is for values of another type than \(Value.self)")
        }
        let argument = shape.contains(.isClosure) ? nil : try MutationHeader.readPortableType(&references, &reader)
        let result = shape.contains(.hasResult) ? try MutationHeader.readPortableType(&references, &reader) : nil
        var decoder = FunctionDecoder(references: references, userInfo: userInfo)
        let words = try decoder.decode(from: &reader)
        bindArgument = Self.open(shape, argument, result, words)
    }

    /// Decodes the argument of one call.
    ///
    /// - Throws: what decoding throws.
    package func bind(argumentFrom reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws -> Call {
        try bindArgument(&reader, userInfo)
    }

    // MARK: - From types as values to types

    private typealias Bind = (inout WireReader, [CodingUserInfoKey: Any]) throws -> Call

    private static func open(
        _ shape: FunctionShape,
        _ argument: (any Portable.Type)?,
        _ result: (any Portable.Type)?,
        _ words: FunctionWords
    ) -> Bind {
        func withResult<R: Portable>(_: R.Type) -> Bind {
            func withArgument<A: Portable>(_: A.Type) -> Bind { function(A.self, R.self, shape, words) }
            return argument.map { withArgument($0) } ?? closure(R.self, shape, words)
        }
        func withoutResult<A: Portable>(_: A.Type) -> Bind { procedure(A.self, shape, words) }
        if let result { return withResult(result) }
        return argument.map { withoutResult($0) } ?? action(shape, words)
    }

    private static func closure<R: Portable>(_: R.Type, _ shape: FunctionShape, _ words: FunctionWords) -> Bind {
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncMutation<Value, R>.self).body
            return { _, _ in .async { encoder(try await body(&$0)) } }
        }
        let body = words.intoHolder(SyncMutation<Value, R>.self).body
        return { _, _ in .sync { encoder(try body(&$0)) } }
    }

    private static func action(_ shape: FunctionShape, _ words: FunctionWords) -> Bind {
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncChange<Value>.self).body
            return { _, _ in
                .async {
                    try await body(&$0)
                    return nil
                }
            }
        }
        let body = words.intoHolder(SyncChange<Value>.self).body
        return { _, _ in
            .sync {
                try body(&$0)
                return nil
            }
        }
    }

    private static func function<A: Portable, R: Portable>(
        _: A.Type,
        _: R.Type,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Bind {
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncMutationWith<Value, A, R>.self).body
            return { reader, userInfo in
                let argument = try WireCoding.decode(A.self, from: &reader, userInfo: userInfo)
                return .async { encoder(try await body(&$0, argument)) }
            }
        }
        let body = words.intoHolder(SyncMutationWith<Value, A, R>.self).body
        return { reader, userInfo in
            let argument = try WireCoding.decode(A.self, from: &reader, userInfo: userInfo)
            return .sync { encoder(try body(&$0, argument)) }
        }
    }

    private static func procedure<A: Portable>(
        _: A.Type,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Bind {
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncChangeWith<Value, A>.self).body
            return { reader, userInfo in
                let argument = try WireCoding.decode(A.self, from: &reader, userInfo: userInfo)
                return .async {
                    try await body(&$0, argument)
                    return nil
                }
            }
        }
        let body = words.intoHolder(SyncChangeWith<Value, A>.self).body
        return { reader, userInfo in
            let argument = try WireCoding.decode(A.self, from: &reader, userInfo: userInfo)
            return .sync {
                try body(&$0, argument)
                return nil
            }
        }
    }

    private static func encoder<R: Portable>(_ value: R) -> ResultEncoder {
        { writer, userInfo in try WireCoding.encode(value, into: &writer, userInfo: userInfo) }
    }
}

/// A function that makes a value of a type that only the sender knew.
package struct ReceivedMaker {
    /// Called with the type and the function that makes a value of it.
    package protocol Visitor<Result> {
        associatedtype Result
        /// Uses the function.
        func visit<Value>(_ make: @escaping @Sendable () throws -> Value) throws -> Result
    }

    private let type: Any.Type
    private let words: FunctionWords

    /// Reads a function that `PortableMutation` wrote. It is to be visited once.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes and other builds, and what decoding the captures throws.
    package init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        let shape = try MutationHeader.readShape(from: &reader)
        guard shape == [.isMaker, .isClosure] else {
            throw FunctionNotPortable.corrupt("a function that makes a value is expected")
        }
        var references = ReferenceReader()
        references.bind(UInt64(shape.rawValue))
        type = try references.readType(from: &reader)
        var decoder = FunctionDecoder(references: references, userInfo: userInfo)
        words = try decoder.decode(from: &reader)
    }

    /// Calls `visitor` with the function at its type.
    package func visit<V: Visitor>(_ visitor: V) throws -> V.Result {
        func open<Value>(_: Value.Type) throws -> V.Result {
            try visitor.visit(words.intoHolder(SyncClosure<Value>.self).body)
        }
        return try _openExistential(type, do: open)
    }
}

/// What all functions on values begin with.
private enum MutationHeader {
    /// Checks the build and reads the shape.
    static func readShape(from reader: inout WireReader) throws -> FunctionShape {
        guard try reader.read(UInt64.self) == Images.build else {
            throw FunctionNotPortable(.otherBuild, "the function was sent by another build of this program")
        }
        let shape = FunctionShape(rawValue: try reader.read(UInt8.self))
        let all: FunctionShape = [.isAsync, .hasResult, .isClosure, .isMutation, .isMaker]
        guard shape.isSubset(of: all) else { throw FunctionNotPortable.corrupt("unknown shape of function") }
        return shape
    }

    /// Reads the type of an argument or result.
    static func readPortableType(
        _ references: inout ReferenceReader,
        _ reader: inout WireReader
    ) throws -> any Portable.Type {
        let type = try references.readType(from: &reader)
        guard let portable = type as? any Portable.Type else {
            throw FunctionNotPortable.corrupt("\(type) is not Codable")
        }
        return portable
    }
}
