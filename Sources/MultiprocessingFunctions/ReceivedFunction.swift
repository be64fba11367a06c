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
    private let bindArguments: (inout WireReader, [CodingUserInfoKey: Any]) throws -> BoundCall

    /// Reads a function that `PortableFunction` wrote.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes and other builds, and what decoding the captures throws.
    package init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        let parts = try FunctionParts(from: &reader, userInfo: userInfo)
        isAsync = parts.shape.contains(.isAsync)
        // Without the space the brackets are an operator, and the formatter takes the space away.
        // swift-format-ignore
        bindArguments = Self.build(TypeList< >(), parts.arguments[...], parts.result, parts.shape, parts.words)
    }

    /// Decodes the arguments of one call.
    ///
    /// - Throws: what decoding throws.
    package func bind(argumentsFrom reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws -> BoundCall {
        try bindArguments(&reader, userInfo)
    }

    // MARK: - From types as values to types

    private typealias Bind = (inout WireReader, [CodingUserInfoKey: Any]) throws -> BoundCall

    /// Moves the types in `rest` one by one into the list of types known to the compiler, then makes the function with them.
    private static func build<each K: Portable>(
        _ known: TypeList<repeat each K>,
        _ rest: ArraySlice<any Portable.Type>,
        _ result: (any Portable.Type)?,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Bind {
        func append<N: Portable>(_: N.Type) -> Bind {
            build(TypeList<repeat each K, N>(), rest.dropFirst(), result, shape, words)
        }
        if let next = rest.first { return append(next) }
        func finish<R: Portable>(_: R.Type) -> Bind { makeFunction(known, R.self, shape, words) }
        if let result { return finish(result) }
        return makeProcedure(known, shape, words)
    }

    private static func makeFunction<each A: Portable, R: Portable>(
        _: TypeList<repeat each A>,
        _: R.Type,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Bind {
        let encoder: @Sendable (R) -> ResultEncoder = { value in
            { writer, userInfo in try WireCoding.encode(value, into: &writer, userInfo: userInfo) }
        }
        if shape.contains(.isClosure) {
            if shape.contains(.isAsync) {
                let body = words.intoHolder(AsyncClosure<R>.self).body
                return { _, _ in .async { encoder(try await body()) } }
            }
            let body = words.intoHolder(SyncClosure<R>.self).body
            return { _, _ in .sync { encoder(try body()) } }
        }
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncFunction<repeat each A, R>.self).body
            return { reader, userInfo in
                let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
                return .async { encoder(try await body(repeat each arguments)) }
            }
        }
        let body = words.intoHolder(SyncFunction<repeat each A, R>.self).body
        return { reader, userInfo in
            let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
            return .sync { encoder(try body(repeat each arguments)) }
        }
    }

    private static func makeProcedure<each A: Portable>(
        _: TypeList<repeat each A>,
        _ shape: FunctionShape,
        _ words: FunctionWords
    ) -> Bind {
        if shape.contains(.isClosure) {
            if shape.contains(.isAsync) {
                let body = words.intoHolder(AsyncAction.self).body
                return { _, _ in
                    .async {
                        try await body()
                        return nil
                    }
                }
            }
            let body = words.intoHolder(SyncAction.self).body
            return { _, _ in
                .sync {
                    try body()
                    return nil
                }
            }
        }
        if shape.contains(.isAsync) {
            let body = words.intoHolder(AsyncProcedure<repeat each A>.self).body
            return { reader, userInfo in
                let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
                return .async {
                    try await body(repeat each arguments)
                    return nil
                }
            }
        }
        let body = words.intoHolder(SyncProcedure<repeat each A>.self).body
        return { reader, userInfo in
            let arguments = (repeat try WireCoding.decode((each A).self, from: &reader, userInfo: userInfo))
            return .sync {
                try body(repeat each arguments)
                return nil
            }
        }
    }
}
