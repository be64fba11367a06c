// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// What it costs to hold a lock for a moment, alone and against another process.
enum LockMetrics {
    /// The metrics of this group.
    static let all = [
        Metric(
            "lock.uncontended",
            "acquire and release a lock that is free; limit: a robust mutex",
            unit: .nanoseconds,
            kind: .cost,
            peers: [.cpython, .limits, .boost]
        ) { context in
            let lock = try Lock()
            return try context.sampling.times(batch: 1000) {
                try lock.acquire()
                try lock.release()
            }
        },
        Metric(
            "lock.contended.2",
            "the same by two processes at once, for each acquisition",
            unit: .nanoseconds,
            // Where the two happen to run one after the other nobody waits, so the best round is not the truest.
            kind: .typical,
            rounds: 5,
            peers: [.cpython, .limits, .boost]
        ) { context in
            let lock = try Lock()
            return [
                try Race.time(by: 2, for: context.sampling.budget) {
                    try lock.acquire()
                    try lock.release()
                }.each
            ]
        },
        Metric(
            "value.increment.2",
            "increment a shared number under its lock, by two processes at once",
            unit: .nanoseconds,
            // Where the two happen to run one after the other nobody waits, so the best round is not the truest.
            kind: .typical,
            rounds: 5,
            peers: [.cpython, .limits, .boost]
        ) { context in
            let value = try SharedValue(0)
            let result = try Race.time(by: 2, for: context.sampling.budget) { try value.withLock { $0 += 1 } }
            guard value.value == result.count else {
                throw MeasuringError("\(result.count) increments gave \(value.value)")
            }
            return [result.each]
        },
    ]
}

/// Processes that do the same operation at the same time.
enum Race {
    /// The nanoseconds that children get to be ready before they all begin.
    private static let lead: Int64 = 100_000_000
    /// How many operations are done between two looks at the clock.
    private static let stride = 100

    /// Has that many children do an operation again and again for that many nanoseconds.
    ///
    /// - Returns: How often it was done by all together, and the nanoseconds for each.
    static func time(
        by processes: Int,
        for duration: Int64,
        _ operation: @escaping @Sendable () throws -> Void
    ) throws -> (count: Int, each: Double) {
        let counts = try SharedArray<Int>(count: processes)
        let start = Clock.now + lead
        let end = start + duration
        let children = (0..<processes).map { index in
            ChildProcess(daemon: true) {
                let count = try repeated(from: start, to: end, operation)
                counts.withUnsafeMutableBufferPointer { $0[index] = count }
            }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        guard children.allSatisfy({ $0.exitCode == 0 }) else {
            throw MeasuringError("a child ended badly: \(children)")
        }
        let count = counts.withUnsafeMutableBufferPointer { $0.reduce(0, +) }
        return (count, Double(duration) / Double(count))
    }

    /// Does the operation until the time is up. Returns how often.
    private static func repeated(from start: Int64, to end: Int64, _ operation: () throws -> Void) throws -> Int {
        Clock.sleep(until: start)
        var count = 0
        while Clock.now < end {
            for _ in 0..<stride { try operation() }
            count += stride
        }
        return count
    }
}
