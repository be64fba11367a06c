// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The code of "Sharing data between processes".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharingDataTests {
    @Test func `four processes count together`() throws {
        let total = try SharedValue(0)
        let children = (0..<4).map { _ in
            ChildProcess { for _ in 0..<1000 { try total.withLock { $0 += 1 } } }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(total.value == 4000)
    }

    @Test func `two processes fill an array, and a span changes it`() throws {
        let squares = try SharedArray<Int>(count: 1000)
        let halves = (0..<2).map { half in
            ChildProcess { for index in stride(from: half, to: 1000, by: 2) { squares[index] = index * index } }
        }
        for child in halves { try child.start() }
        for child in halves { try child.join() }
        #expect(squares[30] == 900 && squares.reduce(0, +) == 332_833_500)

        var span = squares.mutableSpan
        for index in span.indices { span[index] += 1 }
        #expect(squares[30] == 901)
    }

    @Test func `a lock protects what two processes change, and passes on when one dies`() throws {
        let lock = try Lock()
        let log = try SharedArray<Int>(count: 2)
        let writer = ChildProcess {
            try lock.withLock {
                log[0] += 1
                log[1] = log[0] * log[0]
            }
        }
        try writer.start()
        try writer.join()
        #expect(Array(log) == [1, 1])

        let victim = ChildProcess {
            try lock.withLock {
                log[0] += 1
                _ = kill(getpid(), SIGKILL)
            }
        }
        try victim.start()
        try victim.join()
        do {
            try lock.withLock { log[0] += 1 }
            Issue.record("nobody was told of the death")
        } catch is OwnerDied {
            try lock.recover { log[1] = log[0] * log[0] }
        }
        #expect(Array(log) == [2, 4])
    }

    @Test func `a worker waits for tasks`() throws {
        let tasks = try SharedValue(0)
        let condition = try Condition()
        let worker = ChildProcess {
            try condition.withLock {
                try condition.wait { tasks.value > 0 }
                tasks.value -= 1
            }
        }
        try worker.start()
        try condition.withLock {
            tasks.value += 1
            try condition.notify()
        }
        try worker.join()
        #expect(tasks.value == 0 && worker.exitCode == 0)

        let ready = try Event()
        let isReady = try ready.wait(timeout: .milliseconds(10))
        #expect(!isReady)
    }

    @Test func `memory is shared without a name, or found by one`() throws {
        let memory = try SharedMemory(size: 1 << 20)
        try ChildProcess.run { memory.withUnsafeMutableBytes { $0[0] = 42 } }
        #expect(memory.bytes.unsafeLoad(as: UInt8.self) == 42)

        let name = "weather-\(getpid())"
        let named = try SharedMemory(name: name, create: true, size: 4096)
        let same = try SharedMemory(name: name)
        try named.unlink()
        #expect(same.size == 4096)
    }
}
