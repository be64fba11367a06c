// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

/// Returns the bytes of a value.
func bytes<Value: Encodable>(of value: Value, userInfo: [CodingUserInfoKey: Any] = [:]) throws -> [UInt8] {
    var writer = WireWriter()
    try WireCoding.encode(value, into: &writer, userInfo: userInfo)
    return writer.withUnsafeBytes { Array($0) }
}

/// Returns the value that the bytes hold, and nothing but it.
func value<Value: Decodable>(
    _ type: Value.Type = Value.self,
    from bytes: [UInt8],
    userInfo: [CodingUserInfoKey: Any] = [:]
) throws -> Value {
    try bytes.withUnsafeBytes { try WireCoding.decode(type, from: $0, userInfo: userInfo) }
}

/// Returns a value as it arrives.
func carried<Value: Codable>(_ original: Value) throws -> Value {
    try value(from: bytes(of: original))
}

/// Expects a value to arrive as it was sent.
func expectCarried<Value: Codable & Equatable>(
    _ original: Value,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    #expect(try carried(original) == original, sourceLocation: sourceLocation)
}

/// Returns the error of decoding, if there is one.
func decodingFailure<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) -> (any Error)? {
    do {
        _ = try value(type, from: bytes)
        return nil
    } catch {
        return error
    }
}
