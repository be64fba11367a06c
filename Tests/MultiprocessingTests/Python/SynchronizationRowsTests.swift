// SPDX-License-Identifier: Apache-2.0
//
// What Python's locks, semaphores, conditions, events and barriers do, where the suites of each do not show it already. "Coming from Python" lists every row.

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SynchronizationRowsTests {
    @Test func `a lock is seen to be held, and by whom, from other threads and processes`() throws {
        let lock = try Lock()
        let other = try ChildProcess.run { lock.isLocked }
        #expect(!other)
        try lock.withLock {
            let (isLocked, description) = try onThread { (lock.isLocked, lock.description) }
            #expect(isLocked && description.hasPrefix("Lock(owner: MainProcess"))
            let seen = try ChildProcess.run { lock.isLocked ? lock.description : "" }
            #expect(seen == "Lock(owner: process \(getpid()))")
        }
        try onThread { try lock.acquire() ? try lock.release() : () }
    }

    @Test func `a lock that a thread holds is named with the thread`() throws {
        let lock = try RecursiveLock()
        let description = try onThread { try lock.withLock { "\(lock)" } }
        #expect(description.hasPrefix("RecursiveLock(owner: MainProcess|thread ") && description.hasSuffix("count: 1)"))
    }

    @Test func `a recursive lock is released by its holder alone, whether it is held or free`() throws {
        let lock = try RecursiveLock()
        #expect { try lock.release() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
        try lock.acquire()
        try lock.acquire()
        let code = try onThread { () throws -> SynchronizationError.Code? in
            do { try lock.release() } catch let error as SynchronizationError { return error.code }
            return nil
        }
        #expect(code == .notOwner && lock.count == 2)
        let there = try ChildProcess.run {
            do { try lock.release() } catch let error as SynchronizationError { return "\(error.code)" }
            return "released"
        }
        #expect(there == "notOwner" && lock.count == 2)
        try lock.release()
        try lock.release()
        #expect(!lock.isLocked)
    }

    @Test func `without a timeout an acquisition waits until another process has released the lock`() throws {
        let lock = try Lock()
        let (held, go) = (try Event(), try Event())
        let child = ChildProcess {
            try lock.withLock {
                held.set()
                try go.wait()
            }
        }
        try child.start()
        #expect(try held.wait(timeout: .seconds(60)))
        #expect(try !lock.acquire(timeout: .milliseconds(20)))
        let acquired = try onThreadAsync { try lock.withLock { true } }
        go.set()
        #expect(try acquired.get())
        try child.join()
    }

    @Test func `a semaphore counts to the largest value of POSIX's`() throws {
        let semaphore = try Semaphore(value: Int(Int32.max) - 1)
        try semaphore.release()
        #expect(semaphore.value == Int(Int32.max))
        #expect { try semaphore.release() } throws: { ($0 as? SynchronizationError)?.code == .tooManyReleases }
        #expect(try semaphore.acquire() && semaphore.value == Int(Int32.max) - 1)
    }

    @Test func `of several that give the same permit back at the same time, one may`() throws {
        let semaphore = try BoundedSemaphore(value: 2)
        let (accepted, refused) = (try SharedAtomic(0), try SharedAtomic(0))
        let barrier = try Barrier(parties: 3) { try semaphore.acquire() }
        let children = (0..<3).map { _ in
            ChildProcess {
                for _ in 0..<200 {
                    try barrier.wait(timeout: .seconds(60))
                    do {
                        try semaphore.release()
                        accepted.add(1)
                    } catch let error as SynchronizationError where error.code == .tooManyReleases {
                        refused.add(1)
                    }
                }
            }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(children.allSatisfy { $0.exitCode == 0 })
        #expect(accepted.load() == 200 && refused.load() == 400 && semaphore.value == 2)
    }

    @Test func `a condition's own lock is recursive, and a wait gives up all of it`() throws {
        let condition = try Condition()
        let waits = try Event()
        let child = ChildProcess {
            try condition.withLock {
                try condition.withLock {
                    waits.set()
                    try condition.wait()
                    // As deep as before: twice to release.
                    try condition.release()
                    try condition.notifyAll()
                    try condition.acquire()
                }
            }
        }
        try child.start()
        #expect(try waits.wait(timeout: .seconds(60)))
        #expect(try condition.acquire(timeout: .seconds(60)))
        try condition.notify()
        try condition.release()
        try child.join()
        #expect(child.exitCode == 0)
    }

    @Test func `a notification of two releases two, and the same wait releases the third later`() throws {
        let condition = try Condition()
        let (waiting, released) = (try SharedValue(0), try Semaphore(value: 0))
        let children = (0..<3).map { _ in
            ChildProcess {
                try condition.withLock {
                    waiting.value += 1
                    try condition.wait()
                }
                try released.release()
            }
        }
        for child in children { try child.start() }
        while try condition.withLock({ waiting.value }) < 3 { sched_yield() }
        try condition.withLock { try condition.notify(2) }
        for _ in 0..<2 { #expect(try released.acquire(timeout: .seconds(60))) }
        #expect(try !released.acquire(timeout: .milliseconds(20)))
        // More than wait is not an error, and none.
        try condition.withLock { try condition.notify(0) }
        #expect(try !released.acquire(timeout: .milliseconds(20)))
        try condition.withLock { try condition.notify(5) }
        #expect(try released.acquire(timeout: .seconds(60)))
        for child in children { try child.join() }
    }

    @Test func `who holds another thread's condition is refused`() throws {
        let condition = try Condition()
        try condition.withLock {
            let codes = try onThread {
                [{ try condition.notify() }, { try condition.notifyAll() }, { _ = try condition.wait() }].map { call in
                    do { try call() } catch { return (error as? SynchronizationError)?.code }
                    return nil
                }
            }
            #expect(codes == [.notOwner, .notOwner, .notOwner])
        }
    }

    @Test func `one party's timeout ends the wait of all`() throws {
        let barrier = try Barrier(parties: 3)
        let child = ChildProcess { _ = try checkThrows(BrokenBarrier.self) { try barrier.wait() } }
        try child.start()
        while barrier.waitingCount == 0 { sched_yield() }
        #expect { try barrier.wait(timeout: .milliseconds(10)) } throws: { ($0 as? BrokenBarrier)?.timedOut == true }
        try child.join()
        #expect(child.exitCode == 0 && barrier.isBroken && barrier.parties == 3 && barrier.waitingCount == 0)
    }

    @Test func `an event and a barrier do not miss a waiter that was killed`() throws {
        let (event, barrier) = (try Event(), try Barrier(parties: 2))
        let children = [ChildProcess { try event.wait() }, ChildProcess { try barrier.wait() }]
        for child in children { try child.start() }
        while barrier.waitingCount == 0 { sched_yield() }
        for child in children {
            try child.kill()
            try child.join()
        }
        event.set()
        #expect(event.isSet)
        #expect(try barrier.wait(timeout: .seconds(60)) == 1)
    }

    @Test func `none of them has a name in the system`() throws {
        // What other tests name is of no interest.
        func names() -> Set<String> {
            Set(
                Proc.entries("/dev/shm").filter { name in
                    !["mp-test", "chaos-", "weather-"].contains { name.hasPrefix($0) }
                }
            )
        }
        let before = names()
        let all: [any CustomStringConvertible] = [
            try Lock(), try RecursiveLock(), try Semaphore(), try BoundedSemaphore(), try Condition(), try Event(),
            try Barrier(parties: 2),
        ]
        let after = names()
        #expect(after.subtracting(before).isEmpty && all.count == 7)
    }
}
