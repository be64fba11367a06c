// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// The code of the guide "Pools": kinds of pools, and what they tell.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolKindsTests {
    @Test func `what workers keep`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, maxTasksPerChild: 100, maxMemoryPerChild: 512 << 20)
            let careful = try Pool(processes: 2, isolation: .perTask)
            let pids = try careful.map(0..<4) { _ in getpid() }
            try checkEqual(Set(pids).count, 4)
            try checkEqual(try pool.map(0..<4, square), [0, 1, 4, 9])
            for pool in [pool, careful] {
                pool.close()
                try pool.join()
            }
        }
    }

    @Test func `an initializer`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, initializer: { try Tables.load() })
            try checkEqual(try pool.map(0..<4) { Tables.factor.withLock { $0 } * $0 }, [0, 7, 14, 21])
            pool.close()
            try pool.join()
        }
    }

    @Test func `when there is more work than workers`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 100))
            if let result = try pool.trySubmit(square, 12) {
                try checkEqual(try result.get(), 144)
            } else {
                try check(false, "there is room")
            }
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `how far it has come`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let files = ["a", "bb", "ccc"]
                let last = Synchronization.Mutex(0)
                _ = try pool.map(
                    files,
                    progress: PoolProgress { state in last.withLock { $0 = state.completed } },
                    hash
                )
                try checkEqual(last.withLock { $0 }, 3)
                _ = try pool.map(files, progress: .terminal("hashing"), hash)
                let table = "\(pool.statistics)"
                try check(
                    table.hasPrefix("worker                       pid    tasks      busy      idle  restarts   memory")
                )
                try check(table.hasSuffix("waiting, 0 workers lost"), table)
            }
        }
    }

    @Test func `what README shows`() async throws {
        try await isolated {
            try withPool(processes: 4) { pool in
                let (files, settings) = (["a", "bb"], 3)
                try checkEqual(try pool.map([1, 2, 3, 4, 5], square), [1, 4, 9, 16, 25])
                try checkEqual(try pool.applyAsync(square, 5).get(timeout: .seconds(60)), 25)
                let hashes = try pool.map(files, with: settings, progress: .terminal("hashing")) { file, settings in
                    hash(file) * settings
                }
                try checkEqual(hashes, files.map { hash($0) * 3 })
                for outcome in try pool.mapResults(files, hash) { _ = try outcome.get() }
            }
        }
    }

    @Test func `pools in workers`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let sums = try pool.map(1...3) { n in
                    try withPool(processes: 2) { inner in try inner.map(1...10) { $0 * n }.reduce(0, +) }
                }
                try checkEqual(sums, [55, 110, 165])
            }
        }
    }

    @Test func `threads instead, or nothing`() async throws {
        try await isolated {
            let threads = try ThreadPool(threads: 2)
            try checkEqual(try total(of: ["a", "bc"], on: threads), 3)
            threads.close()
            try threads.join()
            let pool = try Pool.inline
            try checkEqual(try total(of: ["a", "bc"], on: pool), 3)
        }
    }

    @Test func `a call that is cancelled, and the end`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let result = try pool.applyAsync { while true { pause() } }
            result.cancel()
            _ = try checkThrows(CancellationError.self) { try result.get(timeout: .seconds(60)) }
            try pool.resize(processes: 2)
            try checkEqual(try pool.map(0..<3, square), [0, 1, 4])
            try checkEqual(try checkThrows(PoolError.self) { try pool.join() }.code, .stillRunning)
            pool.close()
            try pool.join()
            try checkEqual(try checkThrows(PoolError.self) { _ = try pool.apply(square, 1) }.code, .notRunning)
        }
    }
}

/// Works on any pool.
private func total(of words: [String], on pool: some WorkerPool) throws -> Int {
    try pool.map(words, chunkSize: 4) { $0.count }.reduce(0, +)
}

private func square(_ n: Int) -> Int { n * n }

private func hash(_ text: String) -> Int { text.utf8.reduce(0) { 31 &* $0 &+ Int($1) } }

/// What a worker needs before its first task.
private enum Tables {
    static let factor = Synchronization.Mutex(0)

    static func load() throws { factor.withLock { $0 = 7 } }
}
