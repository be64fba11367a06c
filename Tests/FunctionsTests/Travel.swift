// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding

/// Sends a function through bytes, as to another process, and calls what comes out.
///
/// In one process the two ends could share pointers by mistake; that another process understands the same bytes is what the tests of `ChildProcess` show.
enum Travel {
    /// Returns the function as bytes.
    static func bytes(of function: PortableFunction) throws -> [UInt8] {
        var writer = WireWriter()
        try function.encode(into: &writer, userInfo: [:])
        return writer.withUnsafeBytes { Array($0) }
    }

    /// Rebuilds the function, decodes `arguments` for it, and returns the call.
    static func call(_ bytes: [UInt8], _ arguments: [UInt8] = []) throws -> BoundCall {
        try bytes.withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            let function = try ReceivedFunction(from: &reader, userInfo: [:])
            return try arguments.withUnsafeBytes { arguments in
                var reader = WireReader(arguments)
                return try function.bind(argumentsFrom: &reader, userInfo: [:])
            }
        }
    }

    /// Makes the call and decodes its result.
    static func result<R: Decodable>(_ call: BoundCall, as _: R.Type = R.self) throws -> R {
        guard case .sync(let body) = call, let encoder = try body() else { throw Unexpected() }
        return try decode(encoder)
    }

    /// Makes an asynchronous call and decodes its result.
    static func asyncResult<R: Decodable>(_ call: BoundCall, as _: R.Type = R.self) async throws -> R {
        guard case .async(let body) = call, let encoder = try await body() else { throw Unexpected() }
        return try decode(encoder)
    }

    /// Sends a closure there and returns the result of the call.
    static func closure<R: Portable>(_ body: @escaping @Sendable () throws -> R) throws -> R {
        try result(call(bytes(of: PortableFunction(closure: body))))
    }

    /// Sends a function with its arguments there and returns the result of the call.
    static func function<each A: Portable, R: Portable>(
        _ body: @escaping @Sendable (repeat each A) throws -> R,
        _ arguments: repeat each A
    ) throws -> R {
        var writer = WireWriter()
        repeat try WireCoding.encode(each arguments, into: &writer, userInfo: [:])
        return try result(call(bytes(of: PortableFunction(body)), writer.withUnsafeBytes { Array($0) }))
    }

    private static func decode<R: Decodable>(_ encoder: ResultEncoder) throws -> R {
        var writer = WireWriter()
        try encoder(&writer, [:])
        return try writer.withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            return try WireCoding.decode(R.self, from: &reader, userInfo: [:])
        }
    }

    /// A call of another shape than the test expects.
    struct Unexpected: Error {}
}
