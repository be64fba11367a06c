// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct JoinableQueueTests {
    @Test func `join waits until every element was dealt with, in whatever process`() async throws {
        try await isolated {
            let work = try JoinableQueue<Int>()
            let sum = try SharedValue(0)
            let workers = (0..<3).map { index in
                ChildProcess {
                    while true {
                        let number: Int
                        do { number = try work.get() } catch let error as QueueError where error.code == .shutDown {
                            return
                        }
                        try sum.withLock { $0 += number }
                        try work.taskDone()
                    }
                }
            }
            for worker in workers { try worker.start() }
            for round in 1...20 {
                for number in 1...100 { try work.put(number) }
                try check(try work.join(timeout: .seconds(60)), "round \(round)")
                try checkEqual(sum.value, round * 5050)
                try checkEqual(work.unfinishedCount, 0)
            }
            work.shutDown()
            for worker in workers {
                try worker.join()
                try checkEqual(worker.exitCode, 0)
                try worker.close()
            }
        }
    }

    @Test func `taken is not dealt with, and more cannot be dealt with than was put`() throws {
        let work = try JoinableQueue<String>(capacity: 2)
        #expect(try work.join(timeout: .zero))
        #expect { try work.taskDone() } throws: { ($0 as? QueueError)?.code == .tooManyTasksDone }
        try work.put("a")
        try work.put("b")
        #expect(try !work.tryPut("c") && work.isFull)
        #expect(throws: TimeoutError.self) { try work.put("c", timeout: .milliseconds(10)) }
        #expect(try [work.get(), work.get()] == ["a", "b"])
        #expect(work.isEmpty && work.unfinishedCount == 2)
        #expect(try !work.join(timeout: .milliseconds(10)))
        try work.taskDone()
        #expect(try !work.join(timeout: .zero))
        try work.taskDone()
        #expect(try work.join())
        #expect { try work.taskDone() } throws: { ($0 as? QueueError)?.code == .tooManyTasksDone }
        #expect(try work.tryGet() == nil)
        work.close()
        #expect { try work.put("d") } throws: { ($0 as? QueueError)?.code == .closed }
        #expect { try work.join() } throws: { ($0 as? QueueError)?.code == .closed }
    }

    @Test func `many tasks join without blocking, and a cancelled one ends at once`() async throws {
        let work = try JoinableQueue<Int>()
        try await work.put(1)
        #expect(try await !work.join(timeout: .milliseconds(10)))
        let cancelled = Task { try await work.join() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        // More than there are threads for tasks: a blocked one would keep the last task from running.
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<30 { group.addTask { try await work.join() } }
            group.addTask {
                _ = try await work.get()
                try work.taskDone()
                return true
            }
            for try await isDone in group { #expect(isDone) }
        }
    }

    @Test func `tasks and threads that join are told by another process, and a killed worker's element stays undone`()
        async throws
    {
        try await apart(timeout: .seconds(300)) {
            let work = try JoinableQueue<Int>()
            let started = try Event()
            let lost = ChildProcess {
                _ = try work.get()
                started.set()
                while true { pause() }
            }
            try lost.start()
            try await work.put(1)
            try await started.wait()
            try lost.kill()
            try await lost.join()
            try checkEqual(work.unfinishedCount, 1)
            let task = Task { try await work.join() }
            let thread = try onThreadAsync { try work.join() }
            let other = ChildProcess { try work.taskDone() }
            try other.start()
            let isDone = try await task.value
            try check(isDone)
            try check(try thread.get())
            try await other.join()
        }
    }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SimpleQueueTests {
    @Test func `elements pass between processes and stay after their producer`() async throws {
        try await isolated {
            let queue = try SimpleQueue<[Int]>()
            try check(queue.isEmpty)
            let child = ChildProcess {
                for number in 0..<100 { try queue.put([Int](repeating: number, count: number)) }
            }
            try child.start()
            try child.join()
            try check(!queue.isEmpty)
            for number in 0..<100 { try checkEqual(try queue.get(), [Int](repeating: number, count: number)) }
            try check(queue.isEmpty)
            try child.close()
        }
    }

    @Test func `tasks put and take, and a closed handle refuses`() async throws {
        let queue = try SimpleQueue<Int>()
        let waiting = Task { try await queue.get() }
        try await queue.put(7)
        #expect(try await waiting.value == 7)
        let cancelled = Task { try await queue.get() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        queue.close()
        queue.close()
        await #expect { try await queue.put(1) } throws: { ($0 as? QueueError)?.code == .closed }
        await #expect { try await queue.get() } throws: { ($0 as? QueueError)?.code == .closed }
    }
}
