// SPDX-License-Identifier: Apache-2.0

/// Turns values into the bytes of a message and back.
package enum WireCoding {
    /// Writes `value` at the end of `writer`. When it throws, the writer is as it was before.
    package static func encode<T: Encodable>(
        _ value: T,
        into writer: inout WireWriter,
        userInfo: [CodingUserInfoKey: Any] = [:]
    ) throws {
        throw WireCodingError(.invalidUse, "the coder is not there yet")
    }

    /// Reads a value of `type` where `reader` stands, and leaves the reader behind it.
    package static func decode<T: Decodable>(
        _ type: T.Type = T.self,
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any] = [:]
    ) throws -> T {
        throw WireCodingError(.invalidUse, "the coder is not there yet")
    }
}
