// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ConditionTests {
    @Test func `waiting and notifying without the lock are errors`() async throws {
        let condition = try Condition()
        #expect { try condition.notify() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
        #expect { try condition.notifyAll() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
        await #expect { try await condition.wait() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
        try await condition.withLock { () async throws in #expect(try await condition.wait(timeout: .zero) == false) }
    }

    @Test func `a wait that is not notified ends with its timeout and the lock held as often as before`() throws {
        let lock = try RecursiveLock()
        let condition = try Condition(lock: lock)
        try lock.withLock {
            try lock.withLock { () throws in
                #expect(try !condition.wait(timeout: .zero))
                #expect(try !condition.wait(timeout: .seconds(-1)))
                #expect(try !condition.wait(timeout: .milliseconds(5)))
                #expect(lock.count == 2)
                #expect(try !condition.wait(timeout: .milliseconds(5)) { false })
                #expect(try condition.wait { true })
            }
        }
        #expect("\(condition)" == "Condition(RecursiveLock(owner: none, count: 0), waiting: 0)")
    }

    @Test func `a condition is mended after a death with its lock, and shares the lock of its own`() async throws {
        let condition = try Condition()
        for waits in [false, true] {
            let child = ChildProcess {
                try condition.acquire()
                kill(getpid(), SIGKILL)
            }
            try child.start()
            try await child.join()
            if waits {
                try await condition.recover { try condition.notifyAll() }
            } else {
                try await ChildProcess.run { try condition.recover { try condition.notifyAll() } }
            }
            try await condition.withLock {}
        }
        let lock = try #require(condition.recursiveLock)
        let other = try Condition(lock: lock)
        try await lock.withLock { () async throws in
            try condition.notify()
            try other.notify()
        }
        #expect(try Condition(lock: Lock()).recursiveLock == nil)
    }

    @Test func `one notification releases one process, and notifyAll the rest`() throws {
        let condition = try Condition(lock: try Lock())
        let waiting = try SharedArray<Int>(count: 1)
        let released = try Semaphore(value: 0)
        let children = (0..<3).map { _ in
            ChildProcess {
                try condition.withLock {
                    waiting[0] += 1
                    try condition.wait()
                }
                try released.release()
            }
        }
        for child in children { try child.start() }
        while try condition.withLock({ waiting[0] }) < 3 {}
        try condition.withLock { try condition.notify() }
        #expect(try released.acquire(timeout: .seconds(60)))
        #expect(try !released.acquire(timeout: .milliseconds(50)))
        try condition.withLock { try condition.notifyAll() }
        for _ in 0..<2 { #expect(try released.acquire(timeout: .seconds(60))) }
        for child in children { try child.join() }
    }

    @Test func `a notification is not kept for who waits later`() throws {
        let condition = try Condition()
        try condition.withLock {
            try condition.notify()
            try condition.notifyAll()
            #expect(try !condition.wait(timeout: .milliseconds(5)))
        }
    }

    @Test func `tasks wait for a condition that a process brings about`() async throws {
        let condition = try Condition()
        let value = try SharedValue(0)
        let child = ChildProcess {
            try condition.withLock {
                value.value = 7
                try condition.notifyAll()
            }
        }
        try await condition.withLock {
            try child.start()
            #expect(try await condition.wait(timeout: .seconds(60)) { value.value == 7 })
        }
        try await child.join()
    }

    @Test func `a cancelled wait ends at once and holds the lock until the scope ends`() async throws {
        let condition = try Condition()
        let isWaiting = try Event()
        let task = Task {
            try await condition.withLock {
                isWaiting.set()
                try await condition.wait()
            }
        }
        try await isWaiting.wait()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await condition.withLock { try condition.notify() }
        #expect(try await condition.acquire(timeout: .seconds(60)))
        try condition.release()
    }

    @Test func `a process killed while it waits is not missed`() throws {
        let condition = try Condition()
        let started = try Event()
        let child = ChildProcess {
            try condition.withLock {
                started.set()
                try condition.wait()
            }
        }
        try child.start()
        #expect(try started.wait(timeout: .seconds(60)))
        try condition.withLock { try child.kill() }
        try child.join()
        try condition.withLock { try condition.notifyAll() }
        try condition.withLock { () throws in #expect(try !condition.wait(timeout: .milliseconds(5))) }
    }
}
