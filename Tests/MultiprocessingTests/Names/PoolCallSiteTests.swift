// SPDX-License-Identifier: Apache-2.0
//
// Calls of pools, managers and queues as users write them, in asynchronous and in synchronous code, with Foundation imported: overloads must be found without help.

import Foundation
import Multiprocessing
import Testing

private struct WordTally {
    private var count = 0

    mutating func add(_ word: String) -> Int {
        count += 1
        return count
    }

    mutating func reset() { count = 0 }
}

private struct Settings: Codable, Sendable { var factor = 2 }

private func slow(_ n: Int) async throws -> Int {
    await Task.yield()
    return n
}

private func square(_ n: Int) -> Int { n * n }
private func cube(_ n: Int) -> Int { n * n * n }
private func double(_ n: Int) -> Int { n * 2 }

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolCallSiteTests {
    @Test func `calls of a pool from asynchronous code need no annotation`() async throws {
        let pool = try Pool(processes: 4)
        #expect(try await pool.map([1, 2, 3]) { $0 * 2 } == [2, 4, 6])
        #expect(try await pool.map([1, 2, 3], square) == [1, 4, 9])
        #expect(try await pool.map(["a"], with: Settings()) { path, settings in path.count * settings.factor } == [2])
        #expect(try await pool.map(1...3, slow) == [1, 2, 3])
        try await pool.apply { print("", terminator: "") }
        let n = try await pool.apply { 3 }
        let m: Int = try await pool.apply {
            let z = 3
            return z * n
        }
        #expect(try await pool.apply(square, m) == 81)
        let result = try pool.applyAsync(square, 3)
        #expect(try await result.value == 9)
        let procedure = try pool.applyAsync { print("", terminator: "") }
        try await procedure.value
        var pages: [Int] = []
        for try await page in pool.imap([1, 2, 3], slow) { pages.append(page) }
        #expect(pages == [1, 2, 3])
        try await withPool(processes: 4) { pool in
            let squares = try await pool.map([1, 2], square)
            #expect(squares == [1, 4])
        }
        pool.close()
        try await pool.join()
    }

    @Test func `calls of a pool from synchronous code need no annotation`() async throws {
        try await isolated {
            let pool = try Pool(processes: 4)
            try checkEqual(try pool.map([1, 2, 3]) { $0 * 2 }, [2, 4, 6])
            try checkEqual(
                try pool.map(["a"], with: Settings()) { path, settings in path.count * settings.factor },
                [2]
            )
            try pool.apply { print("", terminator: "") }
            let n = try pool.apply { 3 }
            try checkEqual(n, 3)
            try withPool(processes: 4) { pool in try checkEqual(try pool.map([1, 2], square), [1, 4]) }
            let sums = try pool.map([1, 2]) { n in
                var s = 0
                for i in 0..<n { s += i }
                return s
            }
            try checkEqual(sums, [0, 1])
            try checkEqual(try pool.apply(cube, 3), 27)
            let result = try pool.applyAsync(double, 5)
            try checkEqual(try result.get(timeout: .seconds(60)), 10)
            pool.close()
            try pool.join()
            // Foundation's.
            let process = Process()
            try check(!process.isRunning)
        }
    }

    @Test func `calls of managers, queues and connections from either need no annotation`() async throws {
        let manager = try Manager()
        let counter = try await manager.host { WordTally() }
        let total = try await counter.withValue { $0.add("Hello") }
        try await counter.withValue { $0.reset() }
        #expect(total == 1)
        let list = try await manager.list(of: String.self)
        try await list.append("x")
        #expect(try await list.value() == ["x"])
        let queue = try Queue<Int>()
        try await queue.put(3)
        #expect(try await queue.get(timeout: .seconds(60)) == 3)
        let (parent, child) = try Connection.pipe()
        try await parent.send("s")
        let text: String = try await child.receive()
        #expect(text == "s")
        try await isolated {
            let manager = try Manager()
            let counter = try manager.host { WordTally() }
            let total = try counter.withValue { $0.add("Hello") }
            try counter.withValue { $0.reset() }
            try checkEqual(total, 1)
        }
    }
}
