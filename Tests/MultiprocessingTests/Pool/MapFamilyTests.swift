// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { n, _ in n * base } }
private func label(_ text: String, _ number: Int, _ isLoud: Bool) -> String {
    "\(isLoud ? text.uppercased() : text)\(number)"
}
private func powerLater(_ base: Int, _ exponent: Int) async -> Int {
    await Task.yield()
    return power(base, exponent)
}
private func square(_ n: Int) -> Int { n * n }
private func squareLater(_ n: Int) async -> Int {
    await Task.yield()
    return n * n
}
private struct Odd: Error, Codable, Equatable { let number: Int }
private func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Odd(number: n) }
    return n
}
/// Returns, throws, dies or hangs, each at a number of its own.
private func misbehave(_ n: Int) throws -> Int {
    switch n % 100 {
    case 13: throw Odd(number: n)
    case 42: fatalError("forty-two")
    case 77: while true { pause() }
    default: return n + 1
    }
}

@Suite(.leavesNothing) struct MapFamilyTests {
    @Test(.timeLimit(.minutes(30))) func `starmap calls a function with each tuple of arguments`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                try checkEqual(try pool.starmap([(2, 5), (3, 2), (10, 3)], power), [32, 9, 1000])
                try checkEqual(try pool.starmap([("a", 1, true), ("b", 2, false)], label), ["A1", "b2"])
                let many = (0..<5000).map { ($0, $0 % 3) }
                let expected = many.map { power($0.0, $0.1) }
                try checkEqual(try pool.starmap(many, power), expected)
                try checkEqual(try pool.starmap(many, chunkSize: 7, power), expected)
                try checkEqual(try pool.starmap(Array(zip([1, 2], [3, 4]))) { $0 + $1 }, [4, 6])
                let none: [(Int, Int)] = []
                try checkEqual(try pool.starmap(none, power), [])
                let slow = TaskOptions(timeout: .seconds(60))
                try checkEqual(try pool.starmap(many, options: slow, power), expected)
                try checkEqual(try pool.starmapAsync(many, power).get(), expected)
                try checkEqual(try pool.starmapAsync(many, powerLater).get(), expected)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `the asynchronous forms work in tasks`() async throws {
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                let pairs = (0..<100).map { ($0, 2) }
                try checkEqual(try await pool.starmap(pairs, power), (0..<100).map(square))
                try checkEqual(try await pool.starmap(pairs, powerLater), (0..<100).map(square))
                let later = try pool.mapAsync(0..<100, squareLater)
                try checkEqual(try await later.value, (0..<100).map(square))
                let outcomes = try await pool.mapResults(0..<4, refuseOdd)
                try checkEqual(outcomes.map { (try? $0.get()) ?? -1 }, [0, -1, 2, -1])
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `mapAsync calls back with the results or the error, once`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let (results, errors) = (try SimpleQueue<[Int]>(), try SimpleQueue<Odd>())
                let good = try pool.mapAsync(0..<10, onSuccess: { try? results.put($0) }, square)
                try checkEqual(try results.get(), (0..<10).map(square))
                try checkEqual(try good.get(), (0..<10).map(square))
                let bad = try pool.mapAsync(
                    [2, 3, 4],
                    onSuccess: { try? results.put($0) },
                    onFailure: { if let odd = $0 as? Odd { try? errors.put(odd) } },
                    refuseOdd
                )
                try checkEqual(try errors.get(), Odd(number: 3))
                try check(bad.isReady && !(try bad.isSuccessful))
                try checkEqual(try pool.mapAsync([1, 2], with: 10) { $0 * $1 }.get(), [10, 20])
                try check(results.isEmpty && errors.isEmpty)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `mapResults gives each item its own outcome, also inside a chunk`()
        async throws
    {
        try await isolated {
            try withPool(processes: 2) { pool in
                for chunkSize in [nil, 1, 50] {
                    let outcomes = try pool.mapResults(0..<200, chunkSize: chunkSize, refuseOdd)
                    for (n, outcome) in outcomes.enumerated() {
                        switch outcome {
                        case .success(let m): try check(n % 2 == 0 && m == n, "\(n)")
                        case .failure(let error): try checkEqual(error as? Odd, Odd(number: n))
                        }
                    }
                }
                try checkEqual(try pool.mapResults([1, 2], with: 5) { $0 * $1 }.map { try $0.get() }, [5, 10])
                try check(try pool.mapResults([Int](), square).isEmpty)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `a crash, a hang and an error cost one item of a chunk each`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let options = TaskOptions(timeout: .seconds(5))
                let outcomes = try pool.mapResults(0..<100, chunkSize: 50, options: options, misbehave)
                for (n, outcome) in outcomes.enumerated() {
                    switch (n, outcome) {
                    case (13, .failure(let error)): try check(error is Odd, "\(error)")
                    case (42, .failure(let error)): try check(error is WorkerLost, "\(error)")
                    case (77, .failure(let error)): try check(error is TimeoutError, "\(error)")
                    case (_, .success(let m)): try checkEqual(m, n + 1)
                    case (_, .failure(let error)): try check(false, "\(n): \(error)")
                    }
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `chunk sizes below one are refused`() async throws {
        try await isolated {
            try withPool(processes: 1) { pool in
                do {
                    _ = try pool.starmap([(1, 2)], chunkSize: 0, power)
                    try check(false, "no error")
                } catch let error as PoolError {
                    try checkEqual(error.code, .invalidArgument)
                }
            }
        }
    }
}
