// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

private func square(_ n: Int) -> Int { n * n }
private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { n, _ in n * base } }
private struct Odd: Error, Codable, Equatable { let number: Int }
private func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Odd(number: n) }
    return n
}

/// Every call that a pool has, wherever its tasks run.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct EngineCallTests {
    // MARK: - Forms of map

    @Test(arguments: PoolSubject.all) func `starmap calls with each tuple, in the order of the tuples`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let tuples = (0..<subject.atMost(300)).map { ($0, $0 % 3) }
                let expected = tuples.map { power($0.0, $0.1) }
                try checkEqual(try pool.starmap(tuples, options: subject.options, power), expected)
                try checkEqual(try pool.starmap(tuples, chunkSize: 7, options: subject.options, power), expected)
                let words = try pool.starmap([("a", 2), ("b", 3)], options: subject.options) {
                    String(repeating: $0, count: $1)
                }
                try checkEqual(words, ["aa", "bbb"])
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `each item of mapResults has the outcome that is its own`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                for chunkSize in [nil, 3] {
                    let items = 0..<subject.atMost(200)
                    let outcomes = try pool.mapResults(
                        items,
                        chunkSize: chunkSize,
                        options: subject.options,
                        refuseOdd
                    )
                    try checkEqual(outcomes.count, items.count)
                    for (n, outcome) in outcomes.enumerated() {
                        switch outcome {
                        case .success(let m): try check(n % 2 == 0 && m == n, "\(n): \(m)")
                        case .failure(let error): try checkEqual(error as? Odd, Odd(number: n))
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `imap gives each result once and in order, and an item that fails its error`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let count = subject.atMost(300)
                for chunkSize in [nil, 4] {
                    let results = pool.imap(0..<count, chunkSize: chunkSize, options: subject.options, refuseOdd)
                    for n in 0..<count {
                        do {
                            try checkEqual(try results.next(timeout: .seconds(60)), n)
                            try check(n % 2 == 0)
                        } catch let odd as Odd { try checkEqual(odd, Odd(number: n)) }
                    }
                    try checkEqual(try results.next(timeout: .seconds(60)), nil)
                }
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `imapUnordered gives each result once`(subject: PoolSubject) async throws {
        try await isolated {
            try subject.withPool { pool in
                let count = subject.atMost(300)
                // Also of an input that has no end.
                let results = pool.imapUnordered(0..., bufferSize: 16, options: subject.options, square)
                var seen: [Int] = []
                while seen.count < count, let n = try results.next(timeout: .seconds(60)) { seen.append(n) }
                try checkEqual(Set(seen).count, count)
                // No further ahead than what was taken and the buffer.
                try check(seen.allSatisfy { $0 <= square(count + 16) }, "\(seen.max() ?? 0)")
                let all = pool.imapUnordered(0..<count, chunkSize: 5, options: subject.options, square)
                var rest = Set((0..<count).map(square))
                while let n = try all.next(timeout: .seconds(60)) { try check(rest.remove(n) != nil, "\(n) again") }
                try check(rest.isEmpty)
            }
        }
    }

    // MARK: - Options

    @Test(arguments: PoolSubject.faulty) func `where nothing happens as it should, time limits hold all the same`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                // Whatever else happens to them, none of them has a value; that they took too long is said of some.
                var timeouts = 0
                for _ in 0..<20 {
                    do {
                        try pool.apply(options: TaskOptions(timeout: .milliseconds(1), retries: 1)) { _ = usleep(5000) }
                        throw CheckFailed(description: "one that took too long has returned")
                    } catch is TimeoutError {
                        timeouts += 1
                    } catch is WorkerLost {
                    } catch let error as PoolError { try checkEqual(error.code, .engine) }
                }
                try check(timeouts > 0)
                // Of many items, only the one fails that takes too long, however often the others are lost.
                let options = TaskOptions(timeout: .milliseconds(50), retries: 30)
                let outcomes = try pool.mapResults(0..<20, options: options) { n in
                    if n == 7 { usleep(60_000) }
                    return square(n)
                }
                for (n, outcome) in outcomes.enumerated() where n != 7 { try checkEqual(try outcome.get(), square(n)) }
                if case .success = outcomes[7] { throw CheckFailed(description: "item 7 took too long and succeeded") }
                try checkEqual(try pool.map(0..<100, options: subject.options, square), (0..<100).map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.mortal) func `a task that kills whoever gets it fails in the end, and nobody else`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let again = TaskOptions(retries: 2)
                let outcomes = try pool.mapResults(0..<20, chunkSize: 4, options: again) { n in
                    if n == 6 { kill(getpid(), SIGKILL) }
                    return square(n)
                }
                for (n, outcome) in outcomes.enumerated() where n != 6 { try checkEqual(try outcome.get(), square(n)) }
                let lost: WorkerLost = try thrown { _ = try outcomes[6].get() }
                try checkEqual(lost.status, .signaled(.kill))
                try checkEqual(lost.count, 3)
                try checkEqual(pool.statistics.restarts, 3)
                try checkEqual(try pool.map(0..<10, square), (0..<10).map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.atWork) func `of what waits, that of the highest priority is begun first`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool(workers: 1) { pool in
                let (begun, gate) = (try Event(), try Event())
                let order = try Queue<Int>()
                let first = try pool.applyAsync {
                    begun.set()
                    _ = try gate.wait()
                }
                try check(try begun.wait(timeout: .seconds(60)))
                let results = try [1, 5, 3, 5, 9].enumerated().map { index, priority in
                    try pool.applyAsync(options: TaskOptions(priority: priority)) {
                        try order.put(priority * 10 + index)
                    }
                }
                gate.set()
                try first.get(timeout: .seconds(60))
                for result in results { try result.get(timeout: .seconds(60)) }
                try checkEqual(try (0..<5).map { _ in try order.get(timeout: .seconds(60)) }, [94, 51, 53, 32, 10])
            }
        }
    }

    // MARK: - How many at a time

    @Test(arguments: PoolSubject.all) func `a pool that is made larger and smaller loses nothing`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool(workers: 1) { pool in
                let count = subject.atMost(200)
                let results = try (0..<count).map { try pool.applyAsync(options: subject.options, square, $0) }
                for workers in [4, 2, 5, 1, 3] {
                    try pool.resize(workers: workers)
                    let options = subject.options
                    try checkEqual(try pool.map(0..<20, options: options, square), (0..<20).map(square))
                }
                try checkEqual(try results.map { try $0.get(timeout: .seconds(60)) }, (0..<count).map(square))
                let _: PoolError = try thrown { try pool.resize(workers: 0) }
                guard PoolSubject.atWork.contains(subject) else { return }
                // So many are at work at once as it says now.
                let barrier = try Barrier(parties: 3)
                let met = try (0..<3).map { _ in
                    try pool.applyAsync { _ = try barrier.wait(timeout: .seconds(60)) }
                }
                for result in met { try result.get(timeout: .seconds(60)) }
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `trySubmit takes a call or refuses it, and what it takes is done`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool(limits: QueueLimit(tasks: 3)) { pool in
                var results: [AsyncResult<Int>] = []
                while results.count < subject.atMost(100) {
                    if let result = try pool.trySubmit(options: subject.options, square, results.count) {
                        results.append(result)
                    } else if let last = results.last {
                        // Who is refused waits for something else first.
                        _ = try last.get(timeout: .seconds(60))
                    }
                }
                try checkEqual(try results.map { try $0.get(timeout: .seconds(60)) }, results.indices.map(square))
                guard PoolSubject.atWork.contains(subject) else { return }
                let gate = try Event()
                var waiting: [AsyncResult<Void>] = []
                while let result = try pool.trySubmit({ _ = try gate.wait() }) {
                    waiting.append(result)
                    // Workers read some hundred short ones ahead.
                    try check(waiting.count < 10_000, "nothing is refused")
                }
                try check(waiting.count >= 3)
                gate.set()
                for result in waiting { try result.get(timeout: .seconds(60)) }
                try check(try pool.trySubmit(square, 1)?.get(timeout: .seconds(60)) == 1)
            }
        }
    }
}
