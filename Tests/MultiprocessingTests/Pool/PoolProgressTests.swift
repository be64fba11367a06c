// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

private func square(_ n: Int) -> Int { n * n }
private func refuse(_ n: Int) throws -> Int { throw Refused(number: n) }
private struct Refused: Error, Codable { let number: Int }

/// Cannot be encoded if it is 3.
private struct Stubborn: Codable, Sendable {
    let number: Int

    init(_ number: Int) { self.number = number }

    func encode(to encoder: any Encoder) throws {
        guard number != 3 else { throw Refused(number: number) }
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }

    init(from decoder: any Decoder) throws {
        number = try decoder.singleValueContainer().decode(Int.self)
    }
}

@Suite(.leavesNothing) struct PoolProgressTests {
    @Test(.timeLimit(.minutes(30))) func `progress rises to the number of items, and ends before the call returns`()
        async throws
    {
        try await isolated {
            try withPool(processes: 2) { pool in
                let seen = Synchronization.Mutex<[PoolProgress.State]>([])
                let progress = PoolProgress(every: .zero) { state in seen.withLock { $0.append(state) } }
                /// Checks the reports of one call, and forgets them.
                func check(total: Int?, completed: Int) throws {
                    let states = seen.withLock { states in
                        defer { states = [] }
                        return states
                    }
                    try MultiprocessingTests.check(
                        zip(states, states.dropFirst()).allSatisfy { $0.completed <= $1.completed }
                    )
                    try MultiprocessingTests.check(states.filter(\.isLast).count == 1)
                    try MultiprocessingTests.check(states.allSatisfy { $0.total == total })
                    try checkEqual(states.last?.isLast, true)
                    try checkEqual(states.last?.completed, completed)
                }
                try checkEqual(try pool.map(0..<1000, progress: progress, square), (0..<1000).map(square))
                try check(total: 1000, completed: 1000)
                _ = try pool.mapResults(0..<10, progress: progress, refuse)
                try check(total: 10, completed: 10)
                _ = try checkThrows(Refused.self) { _ = try pool.map([1], progress: progress, refuse) }
                try check(total: 1, completed: 1)
                for unordered in [false, true] {
                    let results =
                        unordered
                        ? pool.imapUnordered(0..<100, progress: progress, square)
                        : pool.imap(0..<100, progress: progress, square)
                    while try results.next() != nil {}
                    try check(total: 100, completed: 100)
                }
                let unknown = pool.imap(sequence(first: 1) { $0 < 50 ? $0 + 1 : nil }, progress: progress, square)
                while try unknown.next() != nil {}
                try check(total: nil, completed: 50)
            }
            let threads = try ThreadPool(threads: 2)
            let last = Synchronization.Mutex<PoolProgress.State?>(nil)
            _ = try threads.map(0..<77, progress: PoolProgress { state in last.withLock { $0 = state } }, square)
            try checkEqual(last.withLock { $0?.completed }, 77)
            threads.terminate()
            try threads.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `the last report comes also when a call is cancelled or given up`()
        async throws
    {
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 1)
            let seen = Synchronization.Mutex<[PoolProgress.State]>([])
            let progress = PoolProgress(every: .zero) { state in seen.withLock { $0.append(state) } }
            /// Checks that one call has reported its end once, and forgets its reports.
            func checkEnd(line: Int = #line) throws {
                let lasts = seen.withLock { states in
                    defer { states = [] }
                    return states.map(\.isLast)
                }
                try checkEqual(lasts.last, true, line: line)
                try checkEqual(lasts.count { $0 }, 1, line: line)
            }
            let begun = try Event()
            let task = Task {
                try await pool.map([1, 2], progress: progress) { n -> Int in
                    begun.set()
                    while true { pause() }
                }
            }
            _ = try await begun.wait()
            task.cancel()
            _ = await task.result
            try checkEnd()
            // The third cannot be encoded.
            do {
                _ = try await pool.map([1, 2, 3].map(Stubborn.init), progress: progress) { $0.number }
                throw CheckFailed(description: "nothing was thrown")
            } catch is Refused {}
            try checkEnd()
            do {
                var results: PoolResults? = pool.imap(1..., progress: progress, square)
                _ = try await results?.next()
                results = nil
            }
            try checkEnd()
            pool.terminate()
            try await pool.join()
        }
    }

    @Test func `a bar shows what is done, how fast, and the time left, in the width there is`() {
        var state = PoolProgress.State(completed: 450, total: 1000, elapsed: .seconds(4), isLast: false)
        let bar = ProgressBar(label: "hashing", state: state)
        #expect(bar.line == "hashing: 450/1000 (45%), 112/s, 0:04 left")
        #expect(
            bar.text(width: 80) == "hashing  45% ━━━━━━━━━━━━━━━━━──────────────────────  450/1000  112/s  0:04 left"
        )
        for width in 0...100 { #expect(bar.text(width: width).count <= width) }
        state.total = nil
        #expect(ProgressBar(label: "hashing", state: state).line == "hashing: 450, 112/s, 0:04")
        #expect(ProgressBar(label: "hashing", state: state).text(width: 10) == "hashing: 4")
        state = PoolProgress.State(completed: 3_000_000, total: 3_000_000, elapsed: .seconds(3661), isLast: true)
        #expect(ProgressBar(label: "x", state: state).line == "x: 3000000/3000000 (100%), 819/s, 1:01:01")
        state = PoolProgress.State(completed: 0, total: 0, elapsed: .zero, isLast: true)
        #expect(ProgressBar(label: "x", state: state).line == "x: 0/0 (100%), 0.0/s, 0:00")
    }

    @Test func `rates and times are told where they can be known`() {
        let state = PoolProgress.State(completed: 20, total: 100, elapsed: .seconds(2), isLast: false)
        #expect(state.rate == 10)
        #expect(state.fraction == 0.2)
        #expect(state.remaining == .seconds(8))
        #expect(PoolProgress.State(completed: 0, total: 9, elapsed: .zero, isLast: false).remaining == nil)
        #expect(PoolProgress.State(completed: 5, total: nil, elapsed: .seconds(1), isLast: false).remaining == nil)
    }

    @Test(.timeLimit(.minutes(30))) func `without a terminal there are lines, the last at the end`() async throws {
        var ends: [Int32] = [0, 0]
        #expect(Glibc.pipe(&ends) == 0)
        let terminal = ProgressTerminal(descriptor: ends[1])
        #expect(!terminal.isTerminal)
        terminal.show("hashing", PoolProgress.State(completed: 1, total: 2, elapsed: .seconds(1), isLast: false))
        terminal.show("hashing", PoolProgress.State(completed: 2, total: 2, elapsed: .seconds(2), isLast: true))
        close(ends[1])
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = read(ends[0], &bytes, 1000)
        close(ends[0])
        let text = String(decoding: bytes[..<max(0, count)], as: UTF8.self)
        #expect(text == "hashing: 1/2 (50%), 1.0/s, 0:01 left\nhashing: 2/2 (100%), 1.0/s, 0:02\n")
    }
}
