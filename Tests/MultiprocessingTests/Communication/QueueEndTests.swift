// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Testing

@testable import Multiprocessing

/// How queues and waits for them end, and what all three kinds of queues can do.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct QueueEndTests {
    @Test func `join waits no longer for what an immediate shutdown made unreachable, only for what was taken`()
        async throws
    {
        let work = try JoinableQueue<Int>()
        for number in 0..<5 { try await work.put(number) }
        _ = try await work.get()
        #expect(try await !work.join(timeout: .zero))
        work.shutDown(immediate: true)
        #expect(work.unfinishedCount == 1)
        #expect(try await !work.join(timeout: .milliseconds(10)))
        try work.taskDone()
        #expect(try await work.join(timeout: .zero))
        #expect(try onThread { try work.join(timeout: .zero) })
        #expect { try work.taskDone() } throws: { ($0 as? QueueError)?.code == .tooManyTasksDone }
    }

    @Test func `an immediate shutdown wakes threads and tasks that join, in other processes too`() async throws {
        try await apart(timeout: .seconds(300)) {
            let work = try JoinableQueue<Int>()
            for number in 0..<3 { try await work.put(number) }
            let ready = try Semaphore(value: 0)
            let blocking = ChildProcess {
                try ready.release()
                _ = try work.join()
            }
            let suspending = ChildProcess {
                try ready.release()
                _ = try await work.join()
            }
            for child in [blocking, suspending] { try child.start() }
            let (thread, task) = (try onThreadAsync { try work.join() }, Task { try await work.join() })
            for _ in 0..<2 { try await ready.acquire() }
            work.shutDown(immediate: true)
            try check(try thread.get())
            let isDone = try await task.value
            try check(isDone)
            for child in [blocking, suspending] {
                try await child.join()
                try checkEqual(child.exitCode, 0)
            }
        }
    }

    @Test func `more dealt with than taken does not make join wait after an immediate shutdown`() throws {
        let work = try JoinableQueue<Int>()
        for number in 0..<3 { try work.put(number) }
        for _ in 0..<3 { try work.taskDone() }
        work.shutDown(immediate: true)
        #expect(work.unfinishedCount == 0)
        #expect(try work.join(timeout: .zero))
    }

    @Test func `a wait for a queue ends when its handle is closed`() async throws {
        let queue = try Queue<Int>()
        let (thread, task) = (
            try onThreadAsync { try Connection.wait(for: [queue]).count },
            Task { try await Connection.wait(for: [queue]).count }
        )
        // Whether they wait yet or not: in the second case they find it closed.
        queue.close()
        for result in [Result { try thread.get() }, await task.result] {
            switch result {
            case .success(let count): #expect(count == 1)
            case .failure(let error): #expect((error as? QueueError)?.code == .closed)
            }
        }
    }

    @Test func `a wait under way for a queue is woken by its close`() async throws {
        let queue = try Queue<Int>()
        let other = ScriptedTarget([])
        let wait = try MultipleWait(targets: [queue.core, other])
        let task = Task { try await wait.run(until: .never) }
        let thread = try onThreadAsync { try wait.run(until: .never) }
        try await other.awaitRounds(2)
        queue.close()
        #expect(try await task.value == [0])
        #expect(try thread.get() == [0])
    }

    @Test func `a wait goes on when somebody else was faster`() async throws {
        // Looked at before the sleep: not ready; when all is registered: ready; when it is to be returned: taken. Then for good.
        for isAsync in [false, true] {
            let target = ScriptedTarget([false, true, false, false, false, true])
            let wait = try MultipleWait(targets: [target])
            let ready = isAsync ? try await wait.run(until: .never) : try onThread { try wait.run(until: .never) }
            #expect(ready == [0])
        }
    }

    @Test func `a descriptor that could not be prepared is prepared by the next call`() throws {
        let ready = ReadyDescriptor()
        var calls = 0
        #expect(throws: CheckFailed.self) {
            try ready.number {
                calls += 1
                throw CheckFailed(description: "short of descriptors")
            }
        }
        let number = try ready.number { calls += 1 }
        #expect(try ready.number { calls += 1 } == number)
        #expect(calls == 2)
    }

    @Test func `all three kinds of queues are asynchronous sequences`() async throws {
        let (plain, joinable, simple) = (try Queue<Int>(), try JoinableQueue<Int>(), try SimpleQueue<Int>())
        for number in 1...3 {
            try await plain.put(number)
            try await joinable.put(number)
            try await simple.put(number)
        }
        plain.shutDown()
        joinable.shutDown()
        simple.shutdown()
        var seen: [Int] = []
        for try await number in plain { seen.append(number) }
        for try await number in joinable {
            seen.append(number)
            try joinable.taskDone()
        }
        for try await number in simple { seen.append(number) }
        #expect(seen == [1, 2, 3, 1, 2, 3, 1, 2, 3])
        #expect(try await joinable.join())
    }

    @Test func `a simple queue has timeouts, attempts, questions and an end`() async throws {
        let queue = try SimpleQueue<String>()
        #expect(try queue.tryGet() == nil)
        #expect(throws: TimeoutError.self) { try onThread { try queue.get(timeout: .milliseconds(5)) } }
        await #expect(throws: TimeoutError.self) { try await queue.get(timeout: .zero) }
        #expect(try queue.tryPut("a"))
        try await queue.put("b", timeout: .zero)
        try onThread { try queue.put("c", timeout: nil) }
        #expect(queue.count == 3 && !queue.isEmpty && !queue.isFull)
        #expect(try await queue.get(timeout: .seconds(60)) == "a")
        queue.shutDown()
        #expect { try queue.tryPut("d") } throws: { ($0 as? QueueError)?.code == .shutDown }
        #expect(try queue.tryGet() == "b")
        queue.shutDown(immediate: true)
        await #expect { try await queue.get() } throws: { ($0 as? QueueError)?.code == .shutDown }
    }

    @Test func `an attempt to put does not wait behind another producer that waits for room`() throws {
        let queue = try Queue<Int>(capacity: 1)
        try queue.put(1)
        let other = try onThreadAsync { try queue.put(2) }
        // Whether it waits yet or not.
        let time = try ContinuousClock().measure {
            for _ in 0..<20 {
                let isPut = try queue.tryPut(3)
                #expect(!isPut)
                #expect(throws: TimeoutError.self) { try queue.put(3, timeout: .zero) }
            }
        }
        #expect(time < .seconds(30), "\(time)")
        #expect(try queue.get() == 1)
        try other.get()
    }
}

/// Something to wait for whose answers are written down; the last one is for good.
private final class ScriptedTarget: WaitTarget {
    private struct State {
        var answers: [Bool]
        var rounds = 0
    }

    private let state: PlainMutex<State>

    init(_ answers: [Bool]) {
        state = PlainMutex(State(answers: answers))
    }

    func checkWaitable() throws {}

    var isReady: Bool {
        state.withLock { state in
            guard state.answers.count > 1 else { return state.answers.first ?? false }
            return state.answers.removeFirst()
        }
    }

    func add(_ notice: Notice) throws {
        state.withLock { $0.rounds += 1 }
    }

    func remove(_ notice: Notice) {}

    /// Whether something may have been missed: so the wait looks again soon.
    func markWaiting() -> Bool { state.withLock { !$0.answers.isEmpty } }

    /// Looks until the target was registered so often. Gives way to other tasks meanwhile, which have as few threads as there are processors.
    func awaitRounds(_ count: Int) async throws {
        let deadline = Deadline(timeout: .seconds(60))
        while state.withLock({ $0.rounds }) < count {
            guard !deadline.hasPassed else { throw CheckFailed(description: "nobody waits") }
            await Task.yield()
        }
    }
}
