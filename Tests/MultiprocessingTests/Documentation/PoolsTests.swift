// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// The code of the guide "Pools": calls and their results.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolsTests {
    @Test func `overview`() async throws {
        try await isolated {
            try withPool(processes: 4) { pool in
                let squares = try pool.map([1, 2, 3, 4, 5], square)
                let cube = try pool.apply(power, 3, 3)
                try checkEqual(squares, [1, 4, 9, 16, 25])
                try checkEqual(cube, 27)
            }
        }
    }

    @Test func `results that are there later`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let result = try pool.applyAsync(power, 2, 10)
                let n = try result.get(timeout: .seconds(10))
                try checkEqual(n, 1024)
                try check(result.isReady)
            }
        }
    }

    @Test func `several arguments, and a value that all calls get`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let powers = try pool.starmap([(2, 3), (3, 2)], power)
                try checkEqual(powers, [8, 9])
                let settings = Settings(factor: 3)
                let lengths = try pool.map(["a", "bc"], with: settings) { word, settings in
                    word.count * settings.factor
                }
                try checkEqual(lengths, [3, 6])
            }
        }
    }

    @Test func `one result after the other, in tasks`() async throws {
        try await ChildProcess.run(timeout: .seconds(60)) {
            try await withPool(processes: 2) { pool in
                var taken: [Int] = []
                for try await n in pool.imap(1..., square) {
                    if n > 100 { break }
                    taken.append(n)
                }
                try checkEqual(taken, (1...10).map(square))

                var (good, bad) = ([Int](), 0)
                for await outcome in pool.imap(["1", "two", "3"], number).results {
                    switch outcome {
                    case .success(let n): good.append(n)
                    case .failure(let error):
                        bad += 1
                        try check(error is NotANumber, "\(error)")
                    }
                }
                try checkEqual(good, [1, 3])
                try checkEqual(bad, 1)
            }
        }
    }

    @Test func `one result after the other, in synchronous code`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let results = pool.imapUnordered(0..<100, square)
                var sum = 0
                while let n = try results.next(timeout: .seconds(60)) { sum += n }
                try checkEqual(sum, 328_350)
            }
        }
    }

    @Test func `when a worker dies`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let outcomes = try pool.mapResults(["1", "two", "3"]) { text in
                    guard let number = Int(text) else { fatalError("'\(text)' is not a number") }
                    return number
                }
                var (numbers, messages) = ([Int](), [String]())
                for outcome in outcomes {
                    switch outcome {
                    case .success(let n): numbers.append(n)
                    case .failure(let lost as WorkerLost): messages.append(lost.message ?? "")
                    case .failure(let error): throw error
                    }
                }
                try checkEqual(numbers, [1, 3])
                try checkEqual(messages.count, 1)
                try check(messages[0].hasSuffix(": Fatal error: 'two' is not a number"), messages[0])
            }
        }
    }

    @Test func `deadlines`() async throws {
        try await isolated {
            try withPool(processes: 1) { pool in
                let options = TaskOptions(timeout: .milliseconds(50), retries: 1)
                do {
                    try pool.apply(options: options) { while true { pause() } }
                    try check(false)
                } catch let error as TimeoutError {
                    try checkEqual("\(error.timeout)", "0.05 seconds")
                }
            }
        }
    }
}

private func square(_ n: Int) -> Int { n * n }

private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { result, _ in result * base } }

private struct Settings: Codable, Sendable { var factor = 1 }

private struct NotANumber: Error, Codable {}

private func number(_ text: String) throws -> Int {
    guard let n = Int(text) else { throw NotANumber() }
    return n
}
