// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func square(_ n: Int) -> Int { n * n }
private func add(_ a: Int, _ b: Int) -> Int { a + b }
private struct Odd: Error, Codable, Equatable { let number: Int }
private func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Odd(number: n) }
    return n
}
private func slowly(_ n: Int) async throws -> Int {
    await Task.yield()
    return n + 1
}

@Suite(.leavesNothing) struct PoolTests {
    @Test(.timeLimit(.minutes(30)))
    func `a worker that has just been started is given what others have read ahead`() async throws {
        try await isolated {
            for _ in 0..<40 {
                let pool = try Pool(processes: 5)
                // From now on workers read ahead: their tasks are short.
                _ = try pool.map(0..<100, chunkSize: 1) { $0 }
                // Some of those that are too many are still there when others are started.
                try pool.resize(workers: 1)
                _ = try pool.map(0..<20) { $0 }
                try pool.resize(workers: 3)
                _ = try pool.map(0..<20) { $0 }
                let barrier = try Barrier(parties: 3)
                let met = try (0..<3).map { _ in try pool.applyAsync { _ = try barrier.wait(timeout: .seconds(60)) } }
                for result in met { try check(try result.wait(timeout: .seconds(60)), "\(pool.statistics)") }
                pool.terminate()
                try pool.join()
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `map returns results in the order of the items`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                try checkEqual(try pool.map([1, 2, 3, 4, 5], square), [1, 4, 9, 16, 25])
                try checkEqual(try pool.map(0..<10_000, square), (0..<10_000).map(square))
                try checkEqual(try pool.map(0..<1000, chunkSize: 1, square), (0..<1000).map(square))
                try checkEqual(try pool.map([Int](), square), [])
                try checkEqual(try pool.map(["a", "bb"], with: 3) { $0.count * $1 }, [3, 6])
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `apply calls a function with any arguments and returns its result`()
        async throws
    {
        try await isolated {
            try withPool(processes: 2) { pool in
                try checkEqual(try pool.apply(add, 3, 4), 7)
                for n in 0..<1000 { try checkEqual(try pool.apply(square, n), n * n) }
                let base = 40
                try checkEqual(try pool.apply { base + 2 }, 42)
                try pool.apply { _ = getpid() }
                try check(try pool.apply { getpid() } != getpid())
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `an error comes back as its own type and fails a map`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                do {
                    _ = try pool.map([2, 4, 5, 6], refuseOdd)
                    try check(false, "no error")
                } catch let error as Odd {
                    try checkEqual(error, Odd(number: 5))
                }
                try checkEqual(try pool.map([2, 4], refuseOdd), [2, 4])
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `a worker that dies fails its task alone and is replaced`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let doomed = try pool.applyAsync { () -> Int in fatalError("no more") }
                let others = try (0..<100).map { try pool.applyAsync(square, $0) }
                do {
                    _ = try doomed.get()
                    try check(false, "no error")
                } catch let error as WorkerLost {
                    try check(error.message?.contains("no more") == true, "\(error)")
                }
                try checkEqual(try others.map { try $0.get() }, (0..<100).map(square))
                try checkEqual(try pool.map(0..<100, square), (0..<100).map(square))
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `applyAsync calls back with the result or the error, once`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let (results, errors) = (try SimpleQueue<Int>(), try SimpleQueue<String>())
                let note: @Sendable (any Error) -> Void = { try? errors.put("\(type(of: $0))") }
                for round in 0..<20 {
                    let good = try pool.applyAsync(
                        onSuccess: { try? results.put($0) },
                        onFailure: note,
                        square,
                        round
                    )
                    try checkEqual(try results.get(), round * round)
                    let thrown = try pool.applyAsync(
                        onSuccess: { (n: Int) in try? results.put(n) },
                        onFailure: note
                    ) { () throws -> Int in throw Odd(number: 1) }
                    try checkEqual(try errors.get(), "Odd")
                    // The outcome is there when it is told of.
                    try check(good.isReady && thrown.isReady && !(try thrown.isSuccessful))
                }
                _ = try pool.applyAsync(onSuccess: { (n: Int) in try? results.put(n) }, onFailure: note) {
                    () -> Int in _exit(3)
                }
                try checkEqual(try errors.get(), "WorkerLost")
                let cancelled = try pool.applyAsync(onSuccess: { (n: Int) in try? results.put(n) }, onFailure: note) {
                    () -> Int in while true { pause() }
                }
                cancelled.cancel()
                try checkEqual(try errors.get(), "CancellationError")
                let late = try pool.applyAsync(
                    options: TaskOptions(timeout: .milliseconds(20)),
                    onSuccess: { (n: Int) in try? results.put(n) },
                    onFailure: note
                ) { () -> Int in while true { pause() } }
                try checkEqual(try errors.get(), "TimeoutError")
                try check(late.isReady && results.isEmpty && errors.isEmpty)
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a map fails at once, while others of its calls run, which go on to their end`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let (begun, gate, ended) = (try Event(), try Event(), try SharedAtomic(0))
                _ = try pool.map(0..<2, chunkSize: 1, square)
                for round in 1...10 {
                    begun.clear()
                    gate.clear()
                    let pids = Set(pool.pids)
                    // The second is begun before the first fails.
                    _ = try checkThrows(Odd.self) {
                        _ = try pool.map(0..<2, chunkSize: 1) { n -> Int in
                            if n == 0 {
                                _ = try begun.wait(timeout: .seconds(60))
                                throw Odd(number: 1)
                            }
                            begun.set()
                            _ = try gate.wait(timeout: .seconds(60))
                            return ended.add(1).newValue
                        }
                    }
                    try checkEqual(ended.load(), round - 1)
                    try checkEqual(pool.statistics.running, 1)
                    // Its worker has it still, and is used again afterwards; the other one does what comes next.
                    try checkEqual(try pool.apply(square, 5), 25)
                    gate.set()
                    try checkEventually("\(pool.statistics)") { ended.load() == round && pool.statistics.running == 0 }
                    try checkEqual(Set(pool.pids), pids)
                }
                // One that hangs keeps its worker until its own time is over.
                let options = TaskOptions(timeout: .seconds(8))
                let before = Set(pool.pids)
                begun.clear()
                _ = try checkThrows(Odd.self) {
                    _ = try pool.map(0..<2, chunkSize: 1, options: options) { n -> Int in
                        if n == 0 {
                            _ = try begun.wait(timeout: .seconds(60))
                            throw Odd(number: 1)
                        }
                        begun.set()
                        while true { pause() }
                    }
                }
                try checkEventually("\(pool.statistics)") {
                    pool.statistics.running == 0 && pool.pids.count == 2 && before.intersection(pool.pids).count == 1
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `asynchronous functions and callers work without blocking`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let done = try pool.applyAsync(slowly, 3)
                try checkEqual(try done.get(), 4)
            }
        }
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                try checkEqual(try await pool.map(0..<100, slowly), Array(1...100))
                try checkEqual(try await pool.apply(square, 4), 16)
                let results = try (0..<1000).map { try pool.applyAsync(square, $0) }
                for (n, result) in results.enumerated() { try checkEqual(try await result.value, n * n) }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `large arguments and results come through whole`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                for size in [1000, 20_000, 100_000, 1_000_000] {
                    let numbers = Array(0..<size)
                    try checkEqual(try pool.apply({ (a: [Int]) in a.map { $0 + 1 } }, numbers), numbers.map { $0 + 1 })
                    try checkEqual(try pool.map([numbers, numbers, numbers], { $0.count }), [size, size, size])
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `close lets calls end, and refuses further ones`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let results = try (0..<100).map { try pool.applyAsync(square, $0) }
            pool.close()
            try pool.join()
            try checkEqual(try results.map { try $0.get() }, (0..<100).map(square))
            do {
                _ = try pool.apply(square, 1)
                try check(false, "no error")
            } catch let error as PoolError {
                try checkEqual(error.code, .notRunning)
            }
        }
    }
}
