// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// How many of its kind are gone.
private let gone = Atomic<Int>(0)

/// Has a pool, and gives it tasks that keep their maker: with the last of them both go.
private final class Indexer: Sendable {
    let pool: ThreadPool

    init() throws { pool = try ThreadPool(threads: 2) }

    func go() throws {
        _ = try pool.applyAsync { self.work() }
    }

    func work() { usleep(2000) }

    deinit { gone.add(1, ordering: .acquiringAndReleasing) }
}

/// Uses a pool when it goes.
private final class Item: Sendable {
    let pool: ThreadPool

    init(_ pool: ThreadPool) { self.pool = pool }

    deinit {
        _ = pool.statistics
        gone.add(1, ordering: .acquiringAndReleasing)
    }
}

/// What users have made, let go of by the pool, may use the pool.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ThreadPoolLifetimeTests {
    @Test func `a pool that only its own tasks keep ends with them`() async throws {
        try await isolated {
            for _ in 0..<50 { try Indexer().go() }
            try checkEventually("all to go") { gone.load(ordering: .acquiring) == 50 }
        }
    }

    @Test(arguments: ["apply", "map", "imap", "dropped", "withdrawn", "terminated"])
    func `arguments and results that go may ask the pool`(what: String) async throws {
        try await isolated {
            let pool = try ThreadPool(threads: 2)
            var made = 1
            switch what {
            case "apply": _ = try pool.apply({ $0 }, Item(pool))
            case "map":
                made = 20
                _ = try pool.map((0..<10).map { _ in Item(pool) }, chunkSize: 1) { Item($0.pool) }
            case "imap":
                made = 2000
                let results = pool.imap((0..<1000).lazy.map { _ in Item(pool) }) { Item($0.pool) }
                while try results.next() != nil {}
            case "dropped":
                // Results that nobody takes.
                made = 200
                for _ in 0..<100 { _ = try pool.applyAsync({ Item($0.pool) }, Item(pool)) }
            case "withdrawn":
                // Two are at work, the others wait.
                made = 50
                let all = try (0..<50).map { _ in
                    try pool.applyAsync({ _ in usleep(20_000) }, Item(pool))
                }
                for result in all { result.cancel() }
            default:
                made = 50
                for _ in 0..<50 { _ = try pool.applyAsync({ _ in usleep(20_000) }, Item(pool)) }
                pool.terminate()
            }
            if what != "terminated" { pool.close() }
            try pool.join()
            try checkEventually("all to go") { gone.load(ordering: .acquiring) == made }
        }
    }

    @Test(arguments: [true, false])
    func `a task that hears of its cancellation may cancel another one of the same pool`(byTimeout: Bool) async throws {
        try await apart(timeout: .seconds(300)) {
            let pool = try ThreadPool(threads: 2)
            let inner = try pool.applyAsync { () async throws in
                while true { try await Task.sleep(for: .seconds(100)) }
            }
            let options = TaskOptions(timeout: byTimeout ? .milliseconds(50) : nil)
            let begun = try Event()
            let outer = try pool.applyAsync(options: options) { () async throws in
                try await withTaskCancellationHandler {
                    begun.set()
                    while true { try await Task.sleep(for: .seconds(100)) }
                } onCancel: {
                    inner.cancel()
                }
            }
            try await begun.wait()
            if !byTimeout { outer.cancel() }
            for result in [outer, inner] {
                do {
                    try await result.value
                    try check(false, "it has returned")
                } catch is CancellationError {
                } catch is TimeoutError {
                }
            }
            pool.terminate()
            try await pool.join()
        }
    }
}
