// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// The function that a barrier's last party runs, which travels with the barrier.
struct BarrierAction: Codable, Sendable {
    /// The function.
    let run: @Sendable () throws -> Void

    /// Wraps a function of this process.
    init(_ run: @escaping @Sendable () throws -> Void) {
        self.run = run
    }

    /// Decodes a function that came from another process.
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let call = try container.decode([UInt8].self).withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            let function = try ReceivedFunction(from: &reader, userInfo: decoder.userInfo)
            return try function.bind(argumentsFrom: &reader, userInfo: decoder.userInfo)
        }
        guard case .sync(let body) = call else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a barrier's action cannot suspend")
        }
        // Safe because it was a Sendable function where it came from, and what it captures was decoded for it alone.
        nonisolated(unsafe) let action = body
        run = { _ = try action() }
    }

    /// Encodes the function.
    ///
    /// - Throws: `FunctionNotPortable` when it, or something it captures, cannot be sent.
    func encode(to encoder: any Encoder) throws {
        var writer = WireWriter()
        try PortableFunction(action: run).encode(into: &writer, userInfo: encoder.userInfo)
        var container = encoder.singleValueContainer()
        try container.encode(writer.withUnsafeBytes { Array($0) })
    }
}
