// SPDX-License-Identifier: Apache-2.0

import Foundation
import Multiprocessing
import Testing

/// Calls as users write them, with Foundation imported: that they compile is what is tested, and that they run.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct UsageTests {
    @Test func `calls in tasks`() async throws {
        try await ChildProcess.run(timeout: .seconds(240)) { try await Usage.inTasks() }
    }

    @Test func `blocking calls`() async throws {
        try await isolated { try Usage.blocking() }
    }
}

/// The calls, and what they need.
private enum Usage {
    struct WordCounter {
        var n = 0
        mutating func add(_ s: String) -> Int {
            n += 1
            return n
        }
        mutating func reset() { n = 0 }
    }

    struct Settings: Codable, Sendable { var k = 2 }

    static func slow(_ n: Int) async throws -> Int { n }
    static func square(_ n: Int) -> Int { n * n }

    static func inTasks() async throws {
        let pool = try Pool(processes: 4)
        _ = try await pool.map([1, 2, 3]) { $0 * 2 }
        _ = try await pool.map([1, 2, 3], square)
        _ = try await pool.map(["a"], with: Settings()) { p, s in p.count * s.k }
        _ = try await pool.map(1...3, slow)
        try await pool.apply { print("x") }
        let n = try await pool.apply { 3 }
        let m: Int = try await pool.apply {
            let z = 3
            return z * n
        }
        _ = try await pool.apply(square, m)
        let r = try pool.applyAsync(square, 3)
        _ = try await r.value
        let rv = try pool.applyAsync { print("hi") }
        try await rv.value
        let v = try await ChildProcess.run { 40 + 2 }
        let w = try await ChildProcess.run(timeout: .seconds(60)) { try await slow(v) }
        print(w)
        let p = ChildProcess { print("x") }
        try p.start()
        try await p.join()
        let q = ChildProcess { try await Task.sleep(for: .milliseconds(10)) }
        try q.start()
        let manager = try Manager()
        let c = try await manager.host { WordCounter() }
        let t = try await c.withValue { $0.add("Hello") }
        try await c.withValue { $0.reset() }
        print(t)
        let list = try await manager.list(of: String.self)
        try await list.append("x")
        print(try await list.value())
        try await withPool(processes: 4) { pool in print(try await pool.map([1, 2], square)) }
        let queue = try Queue<Int>()
        try await queue.put(3)
        print(try await queue.get(timeout: .seconds(60)))
        let (x, y) = try Connection.pipe()
        try await x.send("s")
        let s: String = try await y.receive()
        print(s)
        try await q.join()
    }

    static func blocking() throws {
        let pool = try Pool(processes: 4)
        _ = try pool.map([1, 2, 3]) { $0 * 2 }
        _ = try pool.map(["a"], with: Settings()) { p, s in p.count * s.k }
        try pool.apply { print("x") }
        let n = try pool.apply { 3 }
        let manager = try Manager()
        let c = try manager.host { WordCounter() }
        let t = try c.withValue { $0.add("Hello") }
        try c.withValue { $0.reset() }
        print(t, n)
        try withPool(processes: 4) { pool in print(try pool.map([1, 2], square)) }
        _ = try pool.map([1, 2]) { n in
            var s = 0
            for i in 0..<n { s += i }
            return s
        }
        // Foundation's.
        let p = Process()
        _ = p
        pool.close()
        try pool.join()
    }
}
