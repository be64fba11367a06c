// SPDX-License-Identifier: Apache-2.0

internal import Loops
internal import Measuring
internal import Multiprocessing

/// What it costs to use the elements of a shared array in a loop, for each element.
enum ArrayMetrics {
    private static let count = 1 << 16

    /// The metrics of this group.
    static let all = [
        Metric(
            "array.read",
            "add up the elements of a shared array through its span; peer: the same through a buffer pointer",
            unit: .nanoseconds,
            kind: .cost,
            peers: [],
            others: [.pointer: { context in try timesOfPointer(context) { sum($0) } }]
        ) { context in
            let array = try SharedArray<Int>(0..<count)
            return try context.sampling.times { try check(sum(array.span)) }.map(each)
        },
        Metric(
            "array.write",
            "increment the elements of a shared array through its mutable span; peer: the same through a buffer pointer",
            unit: .nanoseconds,
            kind: .cost,
            peers: [],
            others: [
                .pointer: { context in
                    try timesOfPointer(context) { buffer in
                        increment(buffer)
                        return expected
                    }
                }
            ]
        ) { context in
            let array = try SharedArray<Int>(0..<count)
            return context.sampling.times {
                var span = array.mutableSpan
                increment(&span)
            }.map(each)
        },
        Metric(
            "array.subscript",
            "add up the elements of a shared array through its subscript; peer: the same through a buffer pointer",
            unit: .nanoseconds,
            kind: .cost,
            peers: [],
            others: [.pointer: { context in try timesOfPointer(context) { sum($0) } }]
        ) { context in
            let array = try SharedArray<Int>(0..<count)
            return try context.sampling.times { try check(sum(array)) }.map(each)
        },
    ]

    /// Does the work on memory of this process alone.
    private static func timesOfPointer(
        _ context: WorkContext,
        _ work: (UnsafeMutableBufferPointer<Int>) -> Int
    ) throws -> [Double] {
        let buffer = UnsafeMutableBufferPointer<Int>.allocate(capacity: count)
        defer { buffer.deallocate() }
        _ = buffer.initialize(from: 0..<count)
        return try context.sampling.times { try check(work(buffer)) }.map(each)
    }

    private static func each(_ time: Double) -> Double { time / Double(count) }

    private static let expected = count * (count - 1) / 2

    private static func check(_ result: Int) throws {
        guard result == expected else { throw MeasuringError("the sum is \(result), not \(expected)") }
    }
}
