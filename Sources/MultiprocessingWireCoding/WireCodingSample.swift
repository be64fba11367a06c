// SPDX-License-Identifier: Apache-2.0

/// The wire coder on its own, with a buffer that is used again and again, as a channel has one.
///
/// Only for the benchmarks, which are a package of their own and so see nothing of `package` access.
@_spi(Benchmarks)
public struct WireCodingSample: ~Copyable {
    private var writer = WireWriter()

    /// Creates a coder whose buffer is empty.
    public init() {}

    /// Replaces what is in the buffer by `value`. Returns the number of bytes.
    ///
    /// - Throws: What encoding `value` throws.
    public mutating func encode<T: Encodable>(_ value: T) throws -> Int {
        writer.removeAll()
        try WireCoding.encode(value, into: &writer)
        return writer.count
    }

    /// Reads the value that is in the buffer.
    ///
    /// - Throws: `WireCodingError` when the buffer holds no such value.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
        try writer.withUnsafeBytes { try WireCoding.decode(type, from: $0) }
    }
}
