// SPDX-License-Identifier: Apache-2.0

package import MultiprocessingWireCoding

/// A function of one argument, or of one and a context that stays the same, to be called for many elements: arrays of elements in, arrays of results out, so that both are copied in bulk where their type allows.
package struct ReceivedMapping {
    /// Calls the function for elements that follow one after the other.
    package enum Body {
        /// On the current thread. Reads one array of elements and writes one array of results.
        case sync((inout WireReader, UserInfo, inout WireWriter, UserInfo, Progress) throws -> Void)
        /// To be awaited. Decodes one array of elements; what is returned makes the calls and then has the results to write.
        case async((inout WireReader, UserInfo, Progress) throws -> @Sendable () async throws -> ResultEncoder)
    }

    /// What coders are given, for the descriptors that travel beside the bytes.
    package typealias UserInfo = [CodingUserInfoKey: Any]

    /// Told of each element before the function is called for it, if somebody wants to know.
    package typealias Progress = (@Sendable (_ index: Int) -> Void)?

    /// What to call.
    package let body: Body

    /// Reads a function that `PortableFunction` wrote, and the context behind it if it takes one.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes, other builds, and functions of another shape; what decoding captures and context throws.
    package init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        let parts = try FunctionParts(from: &reader, userInfo: userInfo)
        guard let result = parts.result, !parts.shape.contains(.isClosure), let element = parts.arguments.first else {
            parts.words.release()
            throw FunctionNotPortable.corrupt("a function to be mapped takes an element and returns a result")
        }
        func open<T: Portable, R: Portable>(_: T.Type, _: R.Type) throws -> Body {
            switch parts.arguments.count {
            case 1: return Self.make(T.self, R.self, parts, userInfo)
            case 2: return try openContext(T.self, R.self, parts.arguments[1])
            default:
                parts.words.release()
                throw FunctionNotPortable.corrupt("a function to be mapped takes an element and at most a context")
            }
        }
        func openContext<T: Portable, R: Portable, C: Portable>(_: T.Type, _: R.Type, _ type: C.Type) throws -> Body {
            let context: C
            do {
                context = try WireCoding.decode(type, from: &reader, userInfo: userInfo)
            } catch {
                parts.words.release()
                throw error
            }
            return Self.make(T.self, R.self, context, parts, userInfo)
        }
        body = try open(element, result)
    }

    private static func make<T: Portable, R: Portable>(
        _: T.Type,
        _: R.Type,
        _ parts: FunctionParts,
        _ userInfo: [CodingUserInfoKey: Any]
    ) -> Body {
        if parts.shape.contains(.isAsync) {
            let body = parts.words.intoHolder(AsyncFunction<T, R>.self).body
            return async { element in try await body(element) }
        }
        let body = parts.words.intoHolder(SyncFunction<T, R>.self).body
        return sync(body)
    }

    private static func make<T: Portable, R: Portable, C: Portable>(
        _: T.Type,
        _: R.Type,
        _ context: C,
        _ parts: FunctionParts,
        _ userInfo: [CodingUserInfoKey: Any]
    ) -> Body {
        if parts.shape.contains(.isAsync) {
            let body = parts.words.intoHolder(AsyncFunction<T, C, R>.self).body
            return async { element in try await body(element, context) }
        }
        let body = parts.words.intoHolder(SyncFunction<T, C, R>.self).body
        return sync { element in try body(element, context) }
    }

    private static func sync<T: Portable, R: Portable>(_ body: @escaping @Sendable (T) throws -> R) -> Body {
        let few = FewElements<T, R>()
        return .sync { reader, userInfo, writer, resultInfo, progress in
            if let few, try few.map(&reader, &writer, progress, body) { return }
            let elements = try WireCoding.decode([T].self, from: &reader, userInfo: userInfo)
            // Straight into the array's memory: an append that does not know its type costs more than many a function.
            let results = try [R](unsafeUninitializedCapacity: elements.count) { memory, count in
                try elements.withUnsafeBufferPointer { elements in
                    for index in elements.indices {
                        progress?(index)
                        (memory.baseAddress.unsafelyUnwrapped + index).initialize(to: try body(elements[index]))
                        count = index + 1
                    }
                }
            }
            try WireCoding.encode(results, into: &writer, userInfo: resultInfo)
        }
    }

    private static func async<T: Portable, R: Portable>(
        _ body: @escaping @Sendable (T) async throws -> R
    ) -> Body {
        .async { reader, userInfo, progress in
            let elements = try WireCoding.decode([T].self, from: &reader, userInfo: userInfo)
            return {
                var results: [R] = []
                results.reserveCapacity(elements.count)
                for (index, element) in elements.enumerated() {
                    progress?(index)
                    results.append(try await body(element))
                }
                let all = results
                return { writer, userInfo in try WireCoding.encode(all, into: &writer, userInfo: userInfo) }
            }
        }
    }
}
