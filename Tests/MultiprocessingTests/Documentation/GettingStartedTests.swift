// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func fibonacci(_ n: Int) -> Int { n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) }

/// A parser with little patience.
func parse(_ text: String) -> Int {
    guard let number = Int(text) else { fatalError("'\(text)' is not a number") }
    return number
}

/// The code of the README and of "Getting started", as it stands there, but for what it prints, which is compared.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct GettingStartedTests {
    @Test func `a function runs in another process`() async throws {
        let n = try await ChildProcess.run { fibonacci(20) }
        #expect(n == 6765)
        let m = try await ChildProcess.run(target: fibonacci, arguments: 20)
        #expect(m == 6765)
    }

    @Test func `the first program survives a trap`() async throws {
        var told = ""
        do {
            // The guide allows five seconds; a machine that is busy enough needs them for the start.
            let m = try await ChildProcess.run(timeout: nil) { parse("seven") }
            Issue.record("a number: \(m)")
        } catch {
            told = "\(error)"
        }
        #expect(told.contains("Fatal error: 'seven' is not a number"))
    }

    @Test func `a task group uses several processes at once`() async throws {
        let sums = try await withThrowingTaskGroup(of: Int.self) { group in
            for n in 1...4 {
                group.addTask { try await ChildProcess.run(target: fibonacci, arguments: n) }
            }
            return try await group.reduce(0, +)
        }
        #expect(sums == 7)
        #expect((1...cpuCount).contains(availableCPUCount))
    }

    @Test func `a pool does many calls`() async throws {
        let sums = try await withPool { pool in try await pool.map(1...4, fibonacci) }
        #expect(sums == [1, 1, 2, 3])
    }

    @Test func `a process goes on by itself`() async throws {
        let process = ChildProcess { print("Worker process is running") }
        try process.start()
        try await process.join()
        #expect(process.exitStatus == .exited(0))
    }

    @Test func `processes count together`() async throws {
        let counter = try SharedValue(0)
        let processes = (0..<5).map { _ in ChildProcess { try counter.withLock { $0 += 1 } } }
        for process in processes { try process.start() }
        for process in processes { try await process.join() }
        #expect(counter.value == 5)
    }

    @Test func `processes share an array`() async throws {
        let counter = try SharedValue(0)
        let squares = try SharedArray<Int>(count: 1000)
        let process = ChildProcess {
            for i in squares.indices { squares[i] = i * i }
            try counter.withLock { $0 += 1 }
        }
        try process.start()
        try await process.join()
        #expect(squares[31] == 961)
        #expect(counter.value == 1)
    }

    @Test func `a daemon is stopped`() async throws {
        @Sendable func task(_ number: Int) {
            while number > 0 { pause() }
        }
        let process = ChildProcess(target: task, arguments: 7, name: "indexer", daemon: true)
        try process.start()
        let hasEnded = try await process.join(timeout: .milliseconds(10))
        #expect(!hasEnded)
        try process.terminate()
        try await process.join()
        #expect(process.exitCode == -15)
    }

    @Test func `an async function at the top of main compiles`() async throws {
        func program() async throws {
            print(try await ChildProcess.run { 40 + 2 })
        }
        try await program()
    }

    @Test func `a result of several statements is stored first`() async throws {
        let n = try await ChildProcess.run {
            let squares = (1...4).map { $0 * $0 }
            return squares.reduce(0, +)
        }
        #expect(n == 30)
    }
}
