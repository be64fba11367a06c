// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// How near a map comes to what its workers' processors could do at best.
///
/// The ideal is what the same work takes in a loop, divided by the workers, or by the processors where those are fewer. Processors that share a core, and a machine that is busy, never reach it: the limit is
/// as many forked processes that do the work and nothing else.
enum ScalingMetrics {
    /// How many pieces of work a map has.
    private static let items = 96

    /// The metrics of this group.
    static let all = [1, 2, 4, 8].map { workers in
        Metric(
            "scaling.\(workers)",
            "map of CPU-bound work on \(workers) workers, against the ideal for the processors there are; limit: forks",
            unit: .ofIdeal,
            kind: .typical,
            peers: [.cpython, .limits]
        ) { context in
            let processors = min(workers, availableCPUCount)
            return try withPool(processes: workers) { pool in
                // Wakes the workers, and lets the pool find out how long a piece takes.
                keep(try pool.map(0..<items, Load.compute))
                var samples: [Double] = []
                let start = Clock.now
                while context.sampling.wantsMore(than: samples.count, after: Clock.now - start) {
                    let ideal = time { for item in 0..<items { keep(Load.compute(item)) } } / Double(processors)
                    samples.append(ideal / (try time { keep(try pool.map(0..<items, Load.compute)) }))
                }
                return samples
            }
        }
    }

    private static func time(_ body: () throws -> Void) rethrows -> Double {
        let start = Clock.now
        try body()
        return Double(Clock.now - start)
    }
}
