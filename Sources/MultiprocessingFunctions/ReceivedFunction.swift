// SPDX-License-Identifier: Apache-2.0

package import MultiprocessingWireCoding

/// The result of a call, to be encoded by whoever asked for the call. Encoding can fail where the call did not.
package typealias ResultEncoder = @Sendable (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void

/// A call whose arguments are there: what is left is to make it.
package enum BoundCall {
    /// To be called on the current thread. The result is nil for a function that returns `Void`.
    case sync(() throws -> ResultEncoder?)
    /// To be awaited.
    case async(@Sendable () async throws -> ResultEncoder?)
}

/// A function that came from another process.
package struct ReceivedFunction {
    /// Whether it has to be awaited.
    package let isAsync: Bool
    private let made: Made

    /// Reads a function that `PortableFunction` wrote.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes and other builds, and what decoding the captures throws.
    package init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        let parts = try FunctionParts(from: &reader, userInfo: userInfo)
        isAsync = parts.shape.contains(.isAsync)
        // Without the space the brackets are an operator, and the formatter takes the space away.
        // swift-format-ignore
        made = Self.build(TypeList< >(), parts.arguments[...], parts.result, parts.shape, parts.words)
    }

    /// Decodes the arguments of one call.
    ///
    /// - Throws: what decoding throws.
    package func bind(argumentsFrom reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws -> BoundCall {
        try made.bind(&reader, userInfo)
    }

    /// Decodes the arguments of one call, makes it on the current thread, and writes the result, if there is one; without anything in between that would have to be allocated.
    ///
    /// - Precondition: The function is synchronous.
    /// - Throws: what the function throws, and what decoding and encoding throw.
    package func call(
        argumentsFrom reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any],
        resultTo writer: inout WireWriter,
        _ resultInfo: [CodingUserInfoKey: Any]
    ) throws {
        guard let call = made.call else { preconditionFailure("an asynchronous function was called without waiting") }
        try call(&reader, userInfo, &writer, resultInfo)
    }

    // MARK: - From types as values to types

    private typealias UserInfo = [CodingUserInfoKey: Any]

    /// A function whose types are known.
    private struct Made {
        /// Decodes the arguments.
        let bind: (inout WireReader, UserInfo) throws -> BoundCall
        /// Does everything; nil for asynchronous functions.
        var call: ((inout WireReader, UserInfo, inout WireWriter, UserInfo) throws -> Void)?
    }

    /// Moves the types in `rest` one by one into the list of types known to the compiler, then makes the function with them.
    private static func build<each K: Portable>(
        _ known: TypeList<repeat each K>,
        _ rest: ArraySlice<any Portable.Type>,
        _ result: (any Portable.Type)?,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Made {
        func append<N: Portable>(_: N.Type) -> Made {
            build(TypeList<repeat each K, N>(), rest.dropFirst(), result, shape, words)
        }
        if let next = rest.first { return append(next) }
        func finish<R: Portable>(_: R.Type) -> Made { makeFunction(known, R.self, shape, words) }
        if let result { return finish(result) }
        return makeProcedure(known, shape, words)
    }

    private static func makeFunction<each A: Portable, R: Portable>(
        _: TypeList<repeat each A>,
        _: R.Type,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Made {
        let encoder: @Sendable (R) -> ResultEncoder = { value in
            { writer, userInfo in try WireCoding.encode(value, into: &writer, userInfo: userInfo) }
        }
        if shape.contains(.isClosure) {
            if shape.contains(.isAsync) {
                let body = words.intoHolder(AsyncClosure<R>.self).body
                return Made { _, _ in .async { encoder(try await body()) } }
            }
            let body = words.intoHolder(SyncClosure<R>.self).body
            return Made { _, _ in
                .sync { encoder(try body()) }
            } call: { _, _, writer, resultInfo in
                try WireCoding.encode(try body(), into: &writer, userInfo: resultInfo)
            }
        }
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncFunction<repeat each A, R>.self).body
            return Made { reader, userInfo in
                let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
                return .async { encoder(try await body(repeat each arguments)) }
            }
        }
        let body = words.intoHolder(SyncFunction<repeat each A, R>.self).body
        return Made { reader, userInfo in
            let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
            return .sync { encoder(try body(repeat each arguments)) }
        } call: { reader, userInfo, writer, resultInfo in
            let result = try body(repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
            try WireCoding.encode(result, into: &writer, userInfo: resultInfo)
        }
    }

    private static func makeProcedure<each A: Portable>(
        _: TypeList<repeat each A>,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Made {
        if shape.contains(.isClosure) {
            if shape.contains(.isAsync) {
                let body = words.intoHolder(AsyncAction.self).body
                return Made { _, _ in
                    .async {
                        try await body()
                        return nil
                    }
                }
            }
            let body = words.intoHolder(SyncAction.self).body
            return Made { _, _ in
                .sync {
                    try body()
                    return nil
                }
            } call: { _, _, _, _ in
                try body()
            }
        }
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncProcedure<repeat each A>.self).body
            return Made { reader, userInfo in
                let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
                return .async {
                    try await body(repeat each arguments)
                    return nil
                }
            }
        }
        let body = words.intoHolder(SyncProcedure<repeat each A>.self).body
        return Made { reader, userInfo in
            let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
            return .sync {
                try body(repeat each arguments)
                return nil
            }
        } call: { reader, userInfo, _, _ in
            try body(repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
        }
    }
}
