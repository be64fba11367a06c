// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The code of "Surviving crashes".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SurvivingCrashesTests {
    @Test func `a crash is an error`() async throws {
        var crashes: [ProcessLost] = []
        do {
            let n = try await ChildProcess.run { parse("seven") }
            Issue.record("a number: \(n)")
        } catch let lost as ProcessLost {
            crashes.append(lost)
        }
        #expect(crashes.map(\.code) == [.crashed])
        #expect(crashes.first?.message?.hasSuffix(": Fatal error: 'seven' is not a number") == true)
        #expect(crashes.first?.backtrace.isEmpty == false)
    }

    @Test func `deadlines hold`() async throws {
        do {
            try await ChildProcess.run(timeout: .milliseconds(50)) {
                while true {}
            }
            Issue.record("an endless loop has ended")
        } catch let error as TimeoutError {
            #expect("\(error.timeout)" == "0.05 seconds")
        }
    }

    @Test func `workers of a pool`() async throws {
        let outcomes = try await withPool(processes: 2) { pool in try await pool.mapResults(["1", "two", "3"], parse) }
        var (numbers, errors) = ([Int](), [String]())
        for outcome in outcomes {
            switch outcome {
            case .success(let n): numbers.append(n)
            case .failure(let error): errors.append("\(error)")
            }
        }
        #expect(numbers == [1, 3] && errors.count == 1)
        #expect(errors.first?.contains("Fatal error: 'two' is not a number") == true)
    }

    @Test func `a process without a result tells its end`() async throws {
        let process = ChildProcess { while true { pause() } }
        try process.start()
        try process.terminate()
        try await process.join()
        #expect(process.exitCode ?? 0 == -15)
    }

    @Test func `a lock whose holder died is passed on`() async throws {
        let stock = try SharedValue(10)
        let thief = ChildProcess {
            try stock.withLock { stock in
                stock = -1
                raise(SIGKILL)
            }
        }
        try thief.start()
        try await thief.join()
        var deaths = 0
        do {
            try await stock.withLock { $0 -= 1 }
        } catch is OwnerDied {
            deaths += 1
            try await stock.recover { $0 = max($0, 0) }
        }
        #expect(deaths == 1)
        // The change of the dead process was never written back.
        #expect(stock.value == 10)
    }
}
