// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Queues and connections in copies of a process (`StartMethod.fork`), which have one thread and whatever the parent's other threads were in the middle of.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ForkedChannelTests {
    @Test func `a forked copy talks through handles it did not have to be sent`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess(startMethod: .fork) {
                // The copy has both ends; the end of file needs the other one closed.
                parent.close()
                while let words: [String] = try? child.receive() { try child.send(words.count) }
            }
            try process.start()
            child.close()
            for count in [0, 1, 1000, 100_000] {
                try parent.send([String](repeating: "word", count: count))
                try checkEqual(try parent.receive(Int.self), count)
            }
            parent.close()
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
        }
    }

    @Test func `copies made while threads of the parent use queues and connections can use them at once`() async throws
    {
        try await isolated {
            let stop = try Event()
            let ready = try Semaphore(value: 0)
            let results = try JoinableQueue<Int>()
            let (near, far) = try Connection.pipe()
            let big = try Queue<[UInt8]>()
            // Always in the middle of making handles, of mapping more of a ring, of watching a descriptor.
            let threads = try (0..<3).map { _ in
                try onThreadAsync {
                    while !stop.isSet {
                        let queue = try Queue<[UInt8]>()
                        try queue.put([UInt8](repeating: 1, count: 1_500_000))
                        _ = try queue.get()
                        let (left, right) = try Connection.pipe()
                        try left.send(1)
                        try checkEqual(try right.receive(Int.self), 1)
                        try ready.release()
                    }
                }
            }
            // What the runtime makes once, at first use, is under locks of its own, which a copy would find held for good.
            for _ in 0..<30 { try ready.acquire() }
            for round in 0..<40 {
                let process = ChildProcess(startMethod: .fork) {
                    try far.send(round)
                    try big.put([UInt8](repeating: UInt8(round), count: 1_200_000))
                    try results.put(round)
                    try results.taskDone()
                }
                try process.start()
                try checkEqual(try near.receive(Int.self, timeout: .seconds(30)), round)
                try checkEqual(try big.get(timeout: .seconds(30)).last, UInt8(round))
                try check(try process.join(timeout: .seconds(30)))
                try checkEqual(process.exitCode, 0)
                try process.close()
            }
            stop.set()
            for thread in threads { try thread.get() }
            try check(try results.join(timeout: .seconds(30)))
            try checkEqual(results.count, 40)
        }
    }

    @Test func `a copy that closes a handle does not wake the tasks of its parent`() async throws {
        // Not `isolated`: tasks leave threads and descriptors of the runtime behind.
        try await apart(timeout: .seconds(300)) {
            let (near, far) = try Connection.pipe()
            let queue = try Queue<Int>()
            let hasBegun = try Semaphore(value: 0)
            let tasks = [
                try onThreadAsync {
                    try blocking {
                        _ = try await near.receive(Int.self)
                        try hasBegun.release()
                        return try await near.receive(Int.self)
                    }
                },
                try onThreadAsync {
                    try blocking {
                        _ = try await queue.get()
                        try hasBegun.release()
                        return try await queue.get()
                    }
                },
            ]
            // Not before they have been through it once: a thread that does something for the first time holds locks of the runtime, which a copy would have for ever.
            try far.send(1)
            try queue.put(1)
            for _ in tasks { try check(try hasBegun.acquire(timeout: .seconds(30))) }
            for _ in 0..<20 {
                let copy = ChildProcess(startMethod: .fork) {
                    near.close()
                    queue.close()
                }
                try copy.start()
                try check(try copy.join(timeout: .seconds(30)))
                try checkEqual(copy.exitCode, 0)
                try copy.close()
            }
            try far.send(5)
            try queue.put(6)
            try checkEqual(try tasks.map { try $0.get() }, [5, 6])
        }
    }
}

/// Runs `body` as a task and blocks the calling thread until it has ended.
private func blocking<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    let outcome = OneResult<Value>()
    Task {
        do { outcome.set(.success(try await body())) } catch { outcome.set(.failure(error)) }
    }
    return try outcome.get()
}
