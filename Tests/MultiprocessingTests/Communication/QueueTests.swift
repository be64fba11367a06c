// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct QueueTests {
    @Test func `elements come out in the order they went in, of any size`() throws {
        let queue = try Queue<[UInt8]>()
        let sizes = [0, 1, 7, 8, 9, 4096, 70_000, 3_000_000, 5]
        for size in sizes { try queue.put([UInt8](repeating: UInt8(size & 0xff), count: size)) }
        #expect(queue.count == sizes.count)
        for size in sizes { #expect(try queue.get() == [UInt8](repeating: UInt8(size & 0xff), count: size)) }
        #expect(queue.isEmpty && !queue.isFull)
    }

    @Test func `what a child puts is there after the child has gone`() async throws {
        try await isolated {
            let queue = try Queue<String>()
            for method in [StartMethod.forkServer, .spawn, .fork] {
                let child = ChildProcess(startMethod: method) { for number in 0..<1000 { try queue.put("\(number)") } }
                try child.start()
                try child.join()
                try checkEqual(child.exitCode, 0)
                try child.close()
                try checkEqual(queue.count, 1000)
                for number in 0..<1000 { try checkEqual(try queue.get(timeout: .zero), "\(number)") }
            }
        }
    }

    @Test func `a child that fills the queue can be joined before anything is taken`() async throws {
        try await isolated {
            let queue = try Queue<Int>(capacity: 100_000)
            let child = ChildProcess { for number in 0..<100_000 { try queue.put(number) } }
            try child.start()
            try check(try child.join(timeout: .seconds(60)))
            try check(queue.isFull)
            try check(try !queue.tryPut(1))
            for number in 0..<100_000 { try checkEqual(try queue.get(timeout: .zero), number) }
            try child.close()
        }
    }

    @Test func `a full queue makes put wait, an empty one get, for as long as they are told`() throws {
        let queue = try Queue<Int>(capacity: 2)
        #expect(throws: TimeoutError.self) { try queue.get(timeout: .milliseconds(20)) }
        #expect(throws: TimeoutError.self) { try queue.get(timeout: .seconds(-1)) }
        #expect(try queue.tryGet() == nil)
        #expect(try [queue.tryPut(1), queue.tryPut(2), queue.tryPut(3)] == [true, true, false])
        #expect(throws: TimeoutError.self) { try queue.put(3, timeout: .milliseconds(20)) }
        #expect(throws: TimeoutError.self) { try queue.put(3, timeout: .zero) }
        let other = try onThreadAsync { try queue.put(3) }
        #expect(try queue.get() == 1)
        try other.get()
        #expect(try [queue.get(), queue.get()] == [2, 3])
    }

    @Test func `tasks wait for elements and for room without blocking`() async throws {
        let queue = try Queue<Int>(capacity: 3)
        // More tasks than there are threads for tasks: a blocked one would be missed.
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 { group.addTask { try await queue.get() } }
            for number in 0..<50 {
                group.addTask {
                    try await queue.put(number)
                    return 0
                }
            }
            var sum = 0
            for try await number in group { sum += number }
            #expect(sum == 49 * 50 / 2)
        }
        #expect(queue.isEmpty)
    }

    @Test func `a cancelled task takes and puts nothing`() async throws {
        let queue = try Queue<Int>(capacity: 1)
        let getter = Task { try await queue.get() }
        getter.cancel()
        await #expect(throws: CancellationError.self) { try await getter.value }
        try await queue.put(1)
        let putter = Task { try await queue.put(2) }
        putter.cancel()
        await #expect(throws: CancellationError.self) { try await putter.value }
        #expect(try await queue.get() == 1)
        await #expect(throws: TimeoutError.self) { try await queue.get(timeout: .milliseconds(10)) }
    }

    @Test func `tasks and threads of several processes share a queue`() async throws {
        try await isolated {
            let queue = try Queue<Int>(capacity: 4)
            let results = try Queue<Int>()
            let blocking = ChildProcess { while let number = try? queue.get() { try results.put(number) } }
            let suspending = ChildProcess { for try await number in queue { try await results.put(number) } }
            let children = [blocking, suspending]
            for child in children { try child.start() }
            for number in 1...2000 { try queue.put(number) }
            queue.shutDown()
            for child in children {
                try child.join()
                try checkEqual(child.exitCode, 0)
                try child.close()
            }
            var sum = 0
            while let number = try results.tryGet() { sum += number }
            try checkEqual(sum, 2000 * 2001 / 2)
        }
    }

    @Test func `shutting down ends waits, lets the rest be taken and refuses more`() async throws {
        let queue = try Queue<Int>()
        let waiting = Task { try await queue.get() }
        let blocked = try onThreadAsync { try? queue.get() }
        try await queue.put(1)
        queue.shutDown()
        await #expect(throws: QueueError.self) { try await queue.put(2) }
        // One of both got the element, the other one the end.
        let first = try? await waiting.value
        let second = try blocked.get()
        #expect([first, second].compactMap { $0 } == [1])
        await #expect { try await queue.get() } throws: { ($0 as? QueueError)?.code == .shutDown }

        let other = try Queue<Int>()
        try await other.put(1)
        other.shutDown(immediate: true)
        #expect { try other.tryGet() } throws: { ($0 as? QueueError)?.code == .shutDown }
    }

    @Test func `a value that cannot be encoded is the error of put, and nothing is put`() throws {
        struct Stubborn: Codable, Sendable {
            func encode(to encoder: any Encoder) throws { throw CheckFailed(description: "no") }
            init() {}
            init(from decoder: any Decoder) throws {}
        }
        let queue = try Queue<Stubborn>()
        #expect(throws: CheckFailed.self) { try queue.put(Stubborn()) }
        #expect(queue.isEmpty)
    }

    @Test func `queues and locks travel through queues`() async throws {
        try await isolated {
            let queues = try Queue<Queue<Lock>>()
            let child = ChildProcess {
                let inner = try queues.get()
                for _ in 0..<300 { try inner.put(try Lock()) }
            }
            try child.start()
            let inner = try Queue<Lock>()
            try queues.put(inner)
            for _ in 0..<300 { try inner.get().withLock {} }
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            // Elements that nobody takes are dropped with their descriptors.
            try inner.put(try Lock())
        }
    }

    @Test func `a closed handle refuses every call, and the queue lives on`() throws {
        let queue = try Queue<Int>()
        let second = try copy(queue)
        try second.put(1)
        second.close()
        second.close()
        #expect { try second.put(2) } throws: { ($0 as? QueueError)?.code == .closed }
        #expect { try second.tryGet() } throws: { ($0 as? QueueError)?.code == .closed }
        #expect(try queue.get() == 1)
    }

    @Test(arguments: [0, -1, Int.max])
    func `a capacity out of range is refused`(capacity: Int) {
        #expect { try Queue<Int>(capacity: capacity) } throws: { ($0 as? QueueError)?.code == .invalidCapacity }
    }

    @Test func `an idle queue uses no processor time`() async throws {
        try await isolated {
            let queue = try Queue<Int>()
            let child = ChildProcess {
                _ = try await queue.get()
                let before = clock()
                _ = try? await queue.get(timeout: .milliseconds(300))
                // Processor time of the whole process, in microseconds.
                let used = clock() - before
                try check(used < 20_000, "\(used) µs")
            }
            try child.start()
            try queue.put(1)
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
        }
    }
}
