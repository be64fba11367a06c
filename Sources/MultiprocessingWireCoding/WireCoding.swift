// SPDX-License-Identifier: Apache-2.0

/// Turns values into the bytes of a message and back.
package enum WireCoding {
    /// Writes `value` at the end of `writer`. When it throws, the writer is as it was before.
    package static func encode<T: Encodable>(
        _ value: T,
        into writer: inout WireWriter,
        userInfo: [CodingUserInfoKey: Any] = [:]
    ) throws {
        if let plan = PlanTable.plan(for: T.self), plan.isLeaf {
            return plan.with(T.self) { $0.encode(value, into: &writer) }
        }
        try encodeWithState(value, into: &writer, userInfo)
    }

    /// Reads a value of `type` where `reader` stands, and leaves the reader behind it. When it throws, the reader is where it was before.
    package static func decode<T: Decodable>(
        _ type: T.Type = T.self,
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any] = [:]
    ) throws -> T {
        if let plan = PlanTable.plan(for: type), plan.isLeaf {
            var attempt = reader
            do {
                let value = try plan.with(type) { try $0.decode(from: &attempt) }
                reader = attempt
                return value
            } catch {
                // Once more with a state, which reads what was written in another form as well, and says where a mistake is.
            }
        }
        return try decodeWithState(type, from: &reader, userInfo)
    }

    /// Reads a value that has to be all there is in `bytes`.
    package static func decode<T: Decodable>(
        _ type: T.Type = T.self,
        from bytes: UnsafeRawBufferPointer,
        userInfo: [CodingUserInfoKey: Any] = [:]
    ) throws -> T {
        var reader = WireReader(bytes)
        let value = try decode(type, from: &reader, userInfo: userInfo)
        guard reader.isAtEnd else {
            throw WireCodingError(.trailingBytes, "\(reader.remaining) bytes follow the value", at: reader.offset)
        }
        return value
    }

    // MARK: - Values with user code in them

    /// Writes a value that may call user code.
    private static func encodeWithState<T: Encodable>(
        _ value: T,
        into writer: inout WireWriter,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws {
        let start = writer.count
        let state = EncodingState(writer: WireWriter(), userInfo: userInfo)
        // The state owns the caller's memory for the time being, so that an encoder kept by user code writes into nothing afterwards.
        swap(&state.writer, &writer)
        defer {
            assert(state.buffer == 0, "every late write is over, failed or not")
            swap(&state.writer, &writer)
        }

        do {
            try state.encode(value)
            if let failure = state.failure { throw failure }
        } catch {
            state.writer.truncate(to: start)
            throw error
        }
    }

    /// Reads a value that may call user code.
    private static func decodeWithState<T: Decodable>(
        _ type: T.Type,
        from reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> T {
        let state = DecodingState(message: reader, userInfo: userInfo)
        defer { state.finish() }
        var attempt = reader

        do {
            let value = try state.decode(type, from: &attempt)
            reader = attempt
            return value
        } catch {
            throw state.described(error)
        }
    }
}
