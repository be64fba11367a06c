// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Timeouts of every call that waits: none, less than none, a short one and the longest.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct TimeoutTests {
    private static let past = [Duration.zero, .nanoseconds(-1), .seconds(-5), .seconds(Int64.min)]

    @Test(arguments: past + [.milliseconds(1)])
    func `what is not to be had is not waited for`(timeout: Duration) throws {
        let (lock, recursive, condition) = (try Lock(), try RecursiveLock(), try Condition())
        let (semaphore, bounded, event) = (try Semaphore(value: 0), try BoundedSemaphore(value: 1), try Event())
        try lock.acquire()
        try recursive.acquire()
        try condition.acquire()
        try bounded.acquire()
        // A thread has a timeout where it would wait for itself for ever, too.
        #expect(try !lock.acquire(timeout: timeout))
        try onThread {
            try check(!lock.acquire(timeout: timeout) && !recursive.acquire(timeout: timeout))
            try check(!condition.acquire(timeout: timeout))
        }
        #expect(try !semaphore.acquire(timeout: timeout) && !bounded.acquire(timeout: timeout))
        #expect(try !event.wait(timeout: timeout))
        #expect(try !condition.wait(timeout: timeout) && !condition.wait(timeout: timeout) { false })
        // Nothing has changed.
        #expect(lock.isLocked && recursive.count == 1 && semaphore.value == 0 && bounded.value == 0 && !event.isSet)
        #expect(condition.recursiveLock?.count == 1)
        for barrier in [try Barrier(parties: 2), try Barrier(parties: 2, timeout: .seconds(1000)) {}] {
            #expect { try barrier.wait(timeout: timeout) } throws: { ($0 as? BrokenBarrier)?.timedOut == true }
            #expect(barrier.isBroken && barrier.waitingCount == 0)
        }
        #expect { try Barrier(parties: 2, timeout: timeout).wait() } throws: {
            ($0 as? BrokenBarrier)?.timedOut == true
        }
        try condition.release()
        try recursive.release()
        try lock.release()
    }

    @Test(arguments: past + [.seconds(Int64.max)])
    func `what is to be had is had`(timeout: Duration) throws {
        let (lock, recursive, condition) = (try Lock(), try RecursiveLock(), try Condition())
        let (semaphore, bounded, event) = (try Semaphore(value: 1), try BoundedSemaphore(value: 1), try Event())
        event.set()
        #expect(try lock.acquire(timeout: timeout) && recursive.acquire(timeout: timeout))
        #expect(try recursive.acquire(timeout: timeout) && recursive.count == 2)
        #expect(try condition.acquire(timeout: timeout) && condition.acquire(timeout: timeout))
        #expect(try condition.wait(timeout: timeout) { true })
        #expect(try semaphore.acquire(timeout: timeout) && bounded.acquire(timeout: timeout))
        #expect(try event.wait(timeout: timeout))
        #expect(try Barrier(parties: 1).wait(timeout: timeout) == 0)
        #expect(try Barrier(parties: 1, timeout: timeout) {}.wait() == 0)
        for _ in 0..<2 {
            try condition.release()
            try recursive.release()
        }
        try lock.release()
    }

    @Test(arguments: past + [.milliseconds(1)])
    func `a task does not wait for what is not to be had`(timeout: Duration) async throws {
        let (lock, recursive, condition) = (try Lock(), try RecursiveLock(), try Condition())
        let (semaphore, bounded, event) = (try Semaphore(value: 0), try BoundedSemaphore(value: 1), try Event())
        try await bounded.acquire()
        try await lock.acquire()
        try await recursive.acquire()
        try await condition.acquire()
        let others = try await Task.detached {
            var answers = [try await lock.acquire(timeout: timeout)]
            answers.append(try await recursive.acquire(timeout: timeout))
            answers.append(try await condition.acquire(timeout: timeout))
            return answers
        }.value
        var answers = [try await lock.acquire(timeout: timeout)]
        answers.append(try await semaphore.acquire(timeout: timeout))
        answers.append(try await bounded.acquire(timeout: timeout))
        answers.append(try await event.wait(timeout: timeout))
        answers.append(try await condition.wait(timeout: timeout))
        answers.append(try await condition.wait(timeout: timeout) { false })
        #expect(others == [false, false, false] && answers == [false, false, false, false, false, false])
        let barrier = try Barrier(parties: 2)
        await #expect { try await barrier.wait(timeout: timeout) } throws: { ($0 as? BrokenBarrier)?.timedOut == true }
        #expect(lock.isLocked && recursive.count == 1 && semaphore.value == 0 && bounded.value == 0 && !event.isSet)
        try condition.release()
        try recursive.release()
        try lock.release()
    }

    @Test(arguments: past + [.seconds(Int64.max)])
    func `a task has what is to be had`(timeout: Duration) async throws {
        let (lock, recursive, condition) = (try Lock(), try RecursiveLock(), try Condition())
        let (semaphore, bounded, event) = (try Semaphore(value: 1), try BoundedSemaphore(value: 1), try Event())
        event.set()
        var answers = [try await lock.acquire(timeout: timeout)]
        for _ in 0..<2 { answers.append(try await recursive.acquire(timeout: timeout)) }
        answers.append(try await condition.acquire(timeout: timeout))
        answers.append(try await condition.wait(timeout: timeout) { true })
        answers.append(try await semaphore.acquire(timeout: timeout))
        answers.append(try await bounded.acquire(timeout: timeout))
        answers.append(try await event.wait(timeout: timeout))
        #expect(answers == [true, true, true, true, true, true, true, true] && recursive.count == 2)
        let place = try await Barrier(parties: 1).wait(timeout: timeout)
        #expect(place == 0)
        for _ in 0..<2 { try recursive.release() }
        try condition.release()
        try lock.release()
    }

    @Test func `signals do not end a wait`() async throws {
        try await isolated {
            signal(SIGUSR1) { _ in }
            let (semaphore, event, condition) = (try Semaphore(value: 0), try Event(), try Condition())
            let (lock, barrier) = (try Lock(), try Barrier(parties: 2))
            let held = try Event()
            let waiting = getpid()
            let child = ChildProcess(daemon: true) {
                try lock.withLock {
                    held.set()
                    while true { kill(waiting, SIGUSR1) }
                }
            }
            try child.start()
            try held.wait()
            let timeout = Duration.milliseconds(30)
            let waits: [() throws -> Bool] = [
                { try semaphore.acquire(timeout: timeout) }, { try event.wait(timeout: timeout) },
                { try lock.acquire(timeout: timeout) },
                { try condition.withLock { try condition.wait(timeout: timeout) } },
                {
                    do { return try barrier.wait(timeout: timeout) >= 0 } catch let error as BrokenBarrier {
                        return !error.timedOut
                    }
                },
            ]
            for (index, wait) in waits.enumerated() {
                let start = ContinuousClock.now
                try check(!wait(), "wait \(index) had what it waited for")
                let time = ContinuousClock.now - start
                try check(time >= timeout, "wait \(index) took \(time)")
            }
            try child.kill()
            try child.join()
        }
    }
}
