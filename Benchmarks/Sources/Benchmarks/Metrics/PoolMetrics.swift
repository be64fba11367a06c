// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring
internal import Multiprocessing

private func square(_ n: Int) -> Int { n * n }
private func identity(_ n: Int) -> Int { n }
private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }
private func count(_ bytes: [UInt8]) -> Int { bytes.count }

/// What a worker has to return: made once, since making it takes longer than any way to the caller.
private enum Store {
    static let content = bytes(256 << 20)
}

/// What calls through a pool of two workers cost.
enum PoolMetrics {
    private static let workers = 2

    /// The metrics of this group.
    static let all = [
        Metric(
            "pool.start.2",
            "make a pool of two workers and get one result from each, with a warm server",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython]
        ) { context in
            try context.sampling.times(pause: 20_000_000) {
                let pool = try Pool(processes: workers)
                let results = try (0..<workers).map { try pool.applyAsync(identity, $0) }
                for result in results { keep(try result.get()) }
                pool.terminate()
            }
        },
        call("call.roundtrip", "one call after the other", others: [.loky, .mpire, .pebble]),
        call("call.roundtrip.pinned", "one call after the other, on one processor", isPinned: true),
        call("call.roundtrip.blocked", "a call after a pause of 2 ms, in which all fall asleep", pause: 2_000_000),
        rate("call.async.rate", "50,000 calls submitted, then all their results", count: 50_000, others: [.loky]) {
            pool,
            count in
            let results = try (0..<count).map { try pool.applyAsync(identity, $0) }
            for result in results { keep(try result.get()) }
        },
        rate("map.chunk1.rate", "map over 100,000 Ints, one at a time", count: 100_000, others: [.loky, .mpire]) {
            pool,
            count in
            keep(try pool.map(0..<count, chunkSize: 1, square))
        },
        rate(
            "map.default.rate",
            "map over 2,000,000 Ints, chunks as the pool chooses",
            count: 2_000_000,
            others: [.loky, .mpire, .limits]
        ) {
            pool,
            count in
            keep(try pool.map(0..<count, square))
        },
        rate("imap.unordered.rate", "imapUnordered over 100,000 Ints, one at a time", count: 100_000, others: [.mpire])
        { pool, count in
            var sum = 0
            let results = pool.imapUnordered(0..<count, chunkSize: 1, square)
            while let result = try results.next() { sum &+= result }
            keep(sum)
        },
        rate("imap.default.rate", "imap over 1,000,000 Ints, chunks as the pool chooses", count: 1_000_000) {
            pool,
            count in
            var sum = 0
            let results = pool.imap(0..<count, square)
            while let result = try results.next() { sum &+= result }
            keep(sum)
        },
        bulk("result.256MiB", "a call that returns 256 MiB of bytes that the worker has") { pool, _ in
            keep(try pool.apply { Store.content })
        },
        bulk("argument.256MiB", "a call that takes 256 MiB of bytes") { pool, argument in
            keep(try pool.apply(count, argument))
        },
        Metric(
            "array.reuse.8MiB",
            "40 tasks with the same 8 MiB of bytes as their context, for each task",
            unit: .microseconds,
            kind: .cost,
            peers: [.cpython]
        ) { context in
            let context8 = bytes(8 << 20)
            return try withPool(processes: workers) { pool in
                try context.sampling.times(batch: 1) {
                    keep(try pool.map(0..<40, with: context8, chunkSize: 1) { $0 + $1.count })
                }.map { $0 / 40 }
            }
        },
        Metric(
            "crash.detect",
            "SIGKILL of a busy worker, to the error of its task; limit: to the end of `waitpid`",
            unit: .microseconds,
            kind: .operation,
            peers: [.pebble, .limits]
        ) { context in try crash(context, replaced: false) },
        Metric(
            "crash.replace",
            "SIGKILL of a busy worker of one, to the result of the next task",
            unit: .microseconds,
            kind: .operation,
            peers: [.pebble]
        ) { context in try crash(context, replaced: true) },
    ]

    /// Kills workers that are in a task, and returns how long it took until that was known, or made good.
    private static func crash(_ context: WorkContext, replaced: Bool) throws -> [Double] {
        try withPool(processes: 1) { pool in
            var samples: [Double] = []
            let end = Clock.now + context.sampling.budget
            while samples.count < 5 || Clock.now < end {
                let began = try SharedAtomic<Int>(0)
                let task = try pool.applyAsync {
                    began.store(Int(getpid()))
                    while true { pause() }
                }
                while began.load() == 0 { Clock.sleep(100_000) }
                let start = Clock.now
                kill(pid_t(began.load()), SIGKILL)
                do { try task.get() } catch is WorkerLost {}
                if replaced { keep(try pool.apply(identity, 1)) }
                samples.append(Double(Clock.now - start))
            }
            return samples
        }
    }

    /// Calls of a function of an Int.
    ///
    /// - Parameters:
    ///   - isPinned: Whether all processes have one processor together.
    ///   - pause: The nanoseconds before each call.
    private static func call(
        _ name: String,
        _ summary: String,
        others: [System] = [],
        isPinned: Bool = false,
        pause: Int64 = 0
    ) -> Metric {
        Metric(
            name,
            "call a function of an Int and get its result, \(summary); limit: shared words and a futex",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits] + others,
            isPinned: isPinned
        ) { context in
            try withPool(processes: workers) { pool in
                try context.sampling.times(pause: pause) { keep(try pool.apply(identity, 1)) }
            }
        }
    }

    private static func bulk(
        _ name: String,
        _ summary: String,
        _ body: @escaping @Sendable (Pool, [UInt8]) throws -> Void
    ) -> Metric {
        Metric(name, summary, unit: .microseconds, kind: .cost, peers: [.cpython, .loky, .limits]) { context in
            let argument = bytes(256 << 20)
            return try withPool(processes: workers) { pool in
                try context.sampling.times { try body(pool, argument) }
            }
        }
    }

    private static func rate(
        _ name: String,
        _ summary: String,
        count: Int,
        others: [System] = [],
        _ body: @escaping @Sendable (Pool, Int) throws -> Void
    ) -> Metric {
        Metric(name, summary, unit: .perSecond, kind: .rate, peers: [.cpython] + others) { context in
            try withPool(processes: workers) { pool in
                try context.sampling.times { try body(pool, count) }.map { Double(count) / ($0 / 1e9) }
            }
        }
    }
}
