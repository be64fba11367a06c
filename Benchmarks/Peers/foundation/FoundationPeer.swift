// SPDX-License-Identifier: Apache-2.0
//
// Called as FoundationPeer METRIC SECONDS SYSTEM: a program of its own, so that the others need not link Foundation.

internal import Foundation
internal import Measuring
internal import Multiprocessing
internal import MultiprocessingFoundation

/// Measures Foundation's coders, and this package with Foundation's values.
@main
enum FoundationPeer {
    /// Measures what the command line names.
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let seconds = Double(arguments[2]) else {
            throw MeasuringError("usage: FoundationPeer METRIC SECONDS SYSTEM")
        }
        let sampling = Sampling(budget: Int64(seconds * 1e9))
        guard let samples = try samples(arguments[1], of: arguments[3], sampling) else {
            throw MeasuringError("\(arguments[3]) cannot measure \(arguments[1])")
        }
        print(Measurement(arguments[1], unit: "ns", samples).line)
    }

    /// Returns the times; nil where there is no such metric.
    private static func samples(_ metric: String, of system: String, _ sampling: Sampling) throws -> [Double]? {
        let data = Data((0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        switch (system, metric) {
        case ("self", "wire.data.1MiB.encode"): return try WireSamples(sampling).encode(data)
        case ("self", "wire.data.1MiB.decode"): return try WireSamples(sampling).decode(data)
        case ("foundation", "wire.struct10"): return try json(sampling)
        default: return nil
        }
    }

    /// Returns the times of a structure to JSON and back, with coders that have been used before.
    private static func json(_ sampling: Sampling) throws -> [Double] {
        let value = TenFields()
        let encoder = JSONEncoder()
        let decoder = JSONDecoder()
        return try sampling.times(batch: 20) {
            let bytes = try encoder.encode(value)
            keep(try decoder.decode(TenFields.self, from: bytes))
        }
    }
}
