// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// What it costs to turn values into bytes and back. The peers copy memory, or use JSON.
enum WireCodingMetrics {
    /// As many numbers as fill a mebibyte.
    private static let numbers = (0..<131_072).map(Double.init)

    /// The metrics of this group.
    static let all = [
        Metric(
            "wire.double.1MiB.encode",
            "an array of 131,072 numbers to bytes; limit: memcpy",
            unit: .microseconds,
            kind: .operation,
            peers: [.limits]
        ) { try WireSamples($0.sampling).encode(numbers) },
        Metric(
            "wire.double.1MiB.decode",
            "the bytes to a new array; limit: malloc and memcpy",
            unit: .microseconds,
            kind: .operation,
            peers: [.limits]
        ) { try WireSamples($0.sampling).decode(numbers) },
        Metric(
            "wire.data.1MiB.encode",
            "Foundation's Data to bytes; limit: memcpy",
            unit: .microseconds,
            kind: .operation,
            peers: [.limits],
            work: nil
        ),
        Metric(
            "wire.data.1MiB.decode",
            "the bytes to a new Data; limit: malloc and memcpy",
            unit: .microseconds,
            kind: .operation,
            peers: [.limits],
            work: nil
        ),
        Metric(
            "wire.struct10",
            "a structure of ten fields to bytes and back; Foundation: JSON",
            unit: .nanoseconds,
            kind: .cost,
            peers: [.foundation]
        ) { try WireSamples($0.sampling).both(TenFields(), batch: 20) },
    ]
}
