// SPDX-License-Identifier: Apache-2.0

@_spi(Benchmarks) internal import Multiprocessing
@_spi(Benchmarks) internal import MultiprocessingWireCoding

/// A structure of ten fields, of the sort that programs send each other.
public struct TenFields: Codable, Equatable, Sendable {
    var identifier = 9_007_199_254
    var name = "swift-multiprocessing"
    var path = "/usr/share/doc/package/README.md"
    var size: Int64 = 48_211
    var ratio = 0.618_033_988_749
    var isDirectory = false
    var mode: UInt16 = 0o644
    var owner: UInt32 = 1000
    var tags = ["text", "english", "documentation"]
    var checksum: UInt64? = 0x0123_4567_89ab_cdef

    /// Creates a structure that is always the same.
    public init() {}
}

/// Measures this package's wire coder on one value.
public struct WireSamples {
    private let sampling: Sampling

    /// Creates a measurement of that length.
    public init(_ sampling: Sampling) {
        self.sampling = sampling
    }

    /// Returns the times of encoding `value` into a buffer that has been used before.
    public func encode<T: Codable & Equatable>(_ value: T, batch: Int = 1) throws -> [Double] {
        var coder = try checked(value)
        return try sampling.times(batch: batch) { keep(try coder.encode(value)) }
    }

    /// Returns the times of decoding `value`.
    public func decode<T: Codable & Equatable>(_ value: T, batch: Int = 1) throws -> [Double] {
        let coder = try checked(value)
        return try sampling.times(batch: batch) { keep(try coder.decode(T.self)) }
    }

    /// Returns the times of encoding and decoding `value`.
    public func both<T: Codable & Equatable>(_ value: T, batch: Int = 1) throws -> [Double] {
        var coder = try checked(value)
        return try sampling.times(batch: batch) {
            keep(try coder.encode(value))
            keep(try coder.decode(T.self))
        }
    }

    /// Returns a coder that holds `value` and has given it back once.
    private func checked<T: Codable & Equatable>(_ value: T) throws -> WireCodingSample {
        var coder = WireCodingSample()
        _ = try coder.encode(value)
        guard try coder.decode(T.self) == value else { throw MeasuringError("the wire coder changed a \(T.self)") }
        return coder
    }
}
