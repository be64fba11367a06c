// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// The code of the guide "Coming from Python".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ComingFromPythonTests {
    @Test func `running multiple processes`() async throws {
        try await isolated {
            let ran = try SharedArray<Int>(count: 3)
            let processes = (0..<3).map { ChildProcess(target: task, arguments: $0, ran) }
            for process in processes { try process.start() }
            for process in processes { try process.join() }
            try checkEqual(Array(ran), [1, 1, 1])
            for process in processes { try process.close() }
        }
    }

    @Test func `pools`() async throws {
        try await isolated {
            try withPool(processes: 4) { pool in
                let results = try pool.map([1, 2, 3, 4, 5], square)
                let result = try pool.apply(cube, 3)
                let later = try pool.applyAsync(double, 5)
                try checkEqual(results, [1, 4, 9, 16, 25])
                try checkEqual([result, try later.get()], [27, 10])
            }
        }
    }

    @Test func `queue`() async throws {
        try await isolated {
            let queue = try Queue<String>()
            let process = ChildProcess { try queue.put("Hello from process") }
            try process.start()
            try process.join()
            try checkEqual(try queue.get(), "Hello from process")
            try process.close()
        }
    }

    @Test func `pipe`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess { try child.send("Hello from process") }
            try process.start()
            try process.join()
            let message: String = try parent.receive()
            try checkEqual(message, "Hello from process")
            try process.close()
        }
    }

    @Test func `value and lock`() async throws {
        try await isolated {
            let counter = try SharedValue(0)
            let processes = (0..<5).map { _ in ChildProcess { try counter.withLock { $0 += 1 } } }
            for process in processes { try process.start() }
            for process in processes { try process.join() }
            try checkEqual(counter.value, 5)
            for process in processes { try process.close() }
        }
    }

    @Test func `manager`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: String.self)
            let process = ChildProcess { try list.append("Hello") }
            try process.start()
            try process.join()
            try checkEqual(try list.value(), ["Hello"])
            try process.close()
        }
    }

    @Test func `daemons`() async throws {
        try await isolated {
            let process = ChildProcess(target: backgroundTask, daemon: true)
            try process.start()
            try check(process.isDaemon)
            try check(cpuCount > 0)
            try process.terminate()
            try process.join()
            try process.close()
        }
    }
}

private func task(_ number: Int, _ ran: SharedArray<Int>) throws {
    ran.withUnsafeMutableBufferPointer { $0[number] += 1 }
}

private func square(_ n: Int) -> Int { n * n }
private func cube(_ n: Int) -> Int { n * n * n }
private func double(_ n: Int) -> Int { n * 2 }

private func backgroundTask() throws {
    // Ended by its parent.
    _ = try Event().wait()
}
