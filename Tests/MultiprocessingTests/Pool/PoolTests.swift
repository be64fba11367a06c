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
    @Test(.timeLimit(.minutes(10))) func `map returns results in the order of the items`() async throws {
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

    @Test(.timeLimit(.minutes(10))) func `apply calls a function with any arguments and returns its result`()
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

    @Test(.timeLimit(.minutes(10))) func `an error comes back as its own type and fails a map`() async throws {
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

    @Test(.timeLimit(.minutes(10))) func `a worker that dies fails its task alone and is replaced`() async throws {
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

    @Test(.timeLimit(.minutes(10))) func `asynchronous functions and callers work without blocking`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let done = try pool.applyAsync(slowly, 3)
                try checkEqual(try done.get(), 4)
            }
        }
        try await apart(timeout: .seconds(60)) {
            try await withPool(processes: 2) { pool in
                try checkEqual(try await pool.map(0..<100, slowly), Array(1...100))
                try checkEqual(try await pool.apply(square, 4), 16)
                let results = try (0..<1000).map { try pool.applyAsync(square, $0) }
                for (n, result) in results.enumerated() { try checkEqual(try await result.value, n * n) }
            }
        }
    }

    @Test(.timeLimit(.minutes(10))) func `large arguments and results come through whole`() async throws {
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

    @Test(.timeLimit(.minutes(10))) func `close lets calls end, and refuses further ones`() async throws {
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
