// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// The same work on processes, on threads and on tasks, for each piece of it.
enum ThreadMetrics {
    /// How many pieces are worked on in one go.
    private static let items = 64

    /// The metrics of this group.
    static let all = [1, 2].flatMap { workers in
        [
            metric("threads.\(workers).compute", "work that computes", workers, Load.compute),
            metric("threads.\(workers).allocate", "work that allocates small objects", workers, Load.allocate),
            metric(
                "threads.\(workers).references",
                "work that counts references of one object",
                workers,
                Load.countReferences
            ),
        ]
    }

    private static func metric(
        _ name: String,
        _ summary: String,
        _ workers: Int,
        _ work: @escaping @Sendable (Int) -> Int
    ) -> Metric {
        Metric(
            name,
            "\(summary), a piece of it, on \(workers) at once: processes, a ThreadPool, a TaskGroup",
            unit: .microseconds,
            kind: .typical,
            rounds: 2,
            peers: [],
            others: [
                .threadPool: { context in
                    let pool = try ThreadPool(threads: workers)
                    return try context.sampling.times { keep(try pool.map(0..<items, work)) }.map(each)
                },
                .taskGroup: { context in
                    try context.sampling.times { try inTasks(workers, work) }.map(each)
                },
            ]
        ) { context in
            try withPool(processes: workers) { pool in
                try context.sampling.times { keep(try pool.map(0..<items, work)) }.map(each)
            }
        }
    }

    /// Does the work in as many child tasks, each of which has its share, and blocks until they are done.
    private static func inTasks(_ workers: Int, _ work: @escaping @Sendable (Int) -> Int) throws {
        let done = try Event()
        Task {
            await withTaskGroup(of: Int.self) { group in
                for worker in 0..<workers {
                    group.addTask { stride(from: worker, to: items, by: workers).reduce(0) { $0 &+ work($1) } }
                }
                for await sum in group { keep(sum) }
            }
            done.set()
        }
        try done.wait()
    }

    private static func each(_ time: Double) -> Double { time / Double(items) }
}
