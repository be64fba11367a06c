// SPDX-License-Identifier: Apache-2.0
//
// How a body ended, as bytes:
//
//   0   it returned; the result follows, if it has one and somebody waits for it
//   1   it threw: string: type; string: description; 1 byte: whether the error itself follows: its type, varint: length, its bytes

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// Writes and reads outcomes.
enum Outcome {
    /// Writes that the body returned. When the result cannot be encoded, that is the outcome.
    static func write(result: ResultEncoder?, into writer: inout WireWriter, userInfo: [CodingUserInfoKey: Any]) {
        let start = writer.count
        writer.write(UInt8(0))
        do {
            try result?(&writer, userInfo)
        } catch {
            writer.truncate(to: start)
            write(error: error, into: &writer)
        }
    }

    /// Writes that the body threw `error`: always its words, and itself where it is `Codable`.
    static func write(error: any Error, into writer: inout WireWriter) {
        writer.write(UInt8(1))
        writer.writeString(ErrorText.typeName(of: error))
        writer.writeString("\(error)")
        var payload = WireWriter()
        if let codable = error as? any Error & Codable, (try? writePayload(codable, into: &payload)) != nil {
            writer.write(UInt8(1))
            payload.withUnsafeBytes { writer.writeLengthPrefixedBytes($0) }
        } else {
            writer.write(UInt8(0))
        }
    }

    private static func writePayload<E: Error & Codable>(_ error: E, into writer: inout WireWriter) throws {
        try PortableType.write(E.self, into: &writer)
        try WireCoding.encode(error, into: &writer, userInfo: [:])
    }

    /// Reads an outcome.
    ///
    /// - Returns: what `result` reads, when the body returned.
    /// - Throws: the error that the body threw; what `result` throws.
    static func read<R>(
        _ message: Message,
        from processName: String,
        result: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        let userInfo = message.userInfo
        return try message.withReader { reader in
            try read(from: &reader, userInfo, processName: processName, result: result)
        }
    }

    /// Reads an outcome where `reader` stands.
    static func read<R>(
        from reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any],
        processName: String,
        result: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        if try reader.read(UInt8.self) == 0 { return try result(&reader, userInfo) }
        throw try readError(from: &reader, processName)
    }

    /// Reads the error of a body that threw, where its words begin.
    static func readError(from reader: inout WireReader, _ processName: String) throws -> any Error {
        let typeName = try reader.readString()
        let text = try reader.readString()
        if try reader.read(UInt8.self) == 1 {
            var payload = WireReader(try reader.readLengthPrefixedBytes())
            // An error that cannot be rebuilt is still told, in words.
            if let error = try? readPayload(&payload) { return error }
        }
        return RemoteError(typeName: typeName, message: text, processName: processName)
    }

    private static func readPayload(_ reader: inout WireReader) throws -> (any Error)? {
        guard let type = try PortableType.read(from: &reader) as? any (Error & Codable).Type else { return nil }
        func open<E: Error & Codable>(_: E.Type) throws -> any Error {
            try WireCoding.decode(E.self, from: &reader, userInfo: [:])
        }
        return try open(type)
    }
}

/// What can be said of an error in words.
enum ErrorText {
    /// The name of its type, such as "Shop.OutOfStock": without the addresses that stand for private and local scopes.
    static func typeName(of error: any Error) -> String {
        let parts = _typeName(type(of: error), qualified: true).split(separator: ".")
        return parts.filter { !$0.hasPrefix("(unknown context") }.joined(separator: ".")
    }
}
