// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// Jobs of functions of each shape.
extension Job {
    /// The call of a synchronous function without arguments or result.
    static func action(_ body: @escaping @Sendable () throws -> Void) -> Job {
        Job(
            encode: { writer, userInfo in try PortableFunction(action: body).encode(into: &writer, userInfo: userInfo)
            },
            callHere: {
                try body()
                return nil
            }
        )
    }

    /// The call of an asynchronous function without arguments or result.
    static func action(_ body: @escaping @Sendable () async throws -> Void) -> Job {
        Job(
            encode: { writer, userInfo in try PortableFunction(action: body).encode(into: &writer, userInfo: userInfo)
            },
            callHere: nil
        )
    }

    /// The call of a synchronous function without arguments that returns a result.
    static func closure<R: Portable>(_ body: @escaping @Sendable () throws -> R) -> Job {
        Job(
            encode: { writer, userInfo in try PortableFunction(closure: body).encode(into: &writer, userInfo: userInfo)
            },
            callHere: { result(try body()) }
        )
    }

    /// The call of an asynchronous function without arguments that returns a result.
    static func closure<R: Portable>(_ body: @escaping @Sendable () async throws -> R) -> Job {
        Job(
            encode: { writer, userInfo in try PortableFunction(closure: body).encode(into: &writer, userInfo: userInfo)
            },
            callHere: nil
        )
    }

    /// The call of a synchronous function without a result.
    static func procedure<each A: Portable>(
        _ body: @escaping @Sendable (repeat each A) throws -> Void,
        _ arguments: repeat each A
    ) -> Job {
        let arguments = (repeat each arguments)
        return Job(
            encode: { writer, userInfo in
                try PortableFunction(procedure: body).encode(into: &writer, userInfo: userInfo)
                repeat try WireCoding.encode(each arguments, into: &writer, userInfo: userInfo)
            },
            callHere: {
                try body(repeat each arguments)
                return nil
            }
        )
    }

    /// The call of an asynchronous function without a result.
    static func procedure<each A: Portable>(
        _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        _ arguments: repeat each A
    ) -> Job {
        let arguments = (repeat each arguments)
        return Job(
            encode: { writer, userInfo in
                try PortableFunction(procedure: body).encode(into: &writer, userInfo: userInfo)
                repeat try WireCoding.encode(each arguments, into: &writer, userInfo: userInfo)
            },
            callHere: nil
        )
    }

    /// The call of a synchronous function with a result.
    static func function<each A: Portable, R: Portable>(
        _ body: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) -> Job {
        let arguments = (repeat each arguments)
        return Job(
            encode: { writer, userInfo in
                try PortableFunction(body).encode(into: &writer, userInfo: userInfo)
                repeat try WireCoding.encode(each arguments, into: &writer, userInfo: userInfo)
            },
            callHere: { result(try body(repeat each arguments)) }
        )
    }

    /// The call of an asynchronous function with a result.
    static func function<each A: Portable, R: Portable>(
        _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        _ arguments: repeat each A
    ) -> Job {
        let arguments = (repeat each arguments)
        return Job(
            encode: { writer, userInfo in
                try PortableFunction(body).encode(into: &writer, userInfo: userInfo)
                repeat try WireCoding.encode(each arguments, into: &writer, userInfo: userInfo)
            },
            callHere: nil
        )
    }

    private static func result<R: Portable>(_ value: R) -> ResultEncoder {
        { writer, userInfo in try WireCoding.encode(value, into: &writer, userInfo: userInfo) }
    }
}
