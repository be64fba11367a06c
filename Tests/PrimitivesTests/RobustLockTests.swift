// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct RobustLockTests {
        private func makeLock() throws -> (MemoryRegion, RobustLock) {
            let region = try MemoryRegion(size: 4096, name: "mp-test")
            return (region, RobustLock(region.base))
        }

        @Test func `our entries share the thread's list with the C library's robust mutexes`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let mutexes = (0..<2).map {
                    (region.base + 1024 + 64 * $0).assumingMemoryBound(to: pthread_mutex_t.self)
                }
                for mutex in mutexes { try require(makeRobust(mutex) == 0, "no robust mutex") }
                let locks = (0..<2).map { RobustLock(region.base + 64 * $0) }
                let child = try ForkedProcess {
                    // Entered alternately and left in another order.
                    _ = try locks[0].acquire()
                    pthread_mutex_lock(mutexes[0])
                    _ = try locks[1].acquire()
                    pthread_mutex_lock(mutexes[1])
                    _ = locks[0].release(by: .thread)
                    pthread_mutex_unlock(mutexes[1])
                    _exit(0)
                }
                try require(try child.join() == 0, "the child failed")
                try require(pthread_mutex_lock(mutexes[0]) == EOWNERDEAD, "the mutex was not passed on")
                try require(pthread_mutex_lock(mutexes[1]) == 0, "the mutex was not free")
                try require(try locks[0].acquire() == .acquired, "the lock was not free")
                try require(try locks[1].acquire() == .ownerDied(child.pid), "the lock was not passed on")
            }
        }

        @Test func `a death with the lock is learnt once, with the dead process named`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                for _ in 0..<50 {
                    let child = try ForkedProcess { _ = try lock.acquire() }
                    try child.join()
                    try require(try lock.acquire() == .ownerDied(child.pid), "not learnt")
                    try require(lock.release(by: .thread), "not held")
                    try require(try lock.acquire() == .acquired, "learnt twice")
                    try require(lock.release(by: .thread), "not held")
                }
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a death that was not told of stays so`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                try ForkedProcess { _ = try lock.acquire() }.join()
                guard case .ownerDied = try lock.acquire() else { throw LaboratoryFailure(description: "not learnt") }
                try require(lock.releaseIfHeldByThread(unlearned: true), "not held")
                guard case .ownerDied = try lock.acquire() else {
                    throw LaboratoryFailure(description: "not learnt again")
                }
                try require(lock.release(by: .thread), "not held")
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a task's lock outlives the thread that took it, and passes on with the process`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                let other = RobustLock(region.base + 64)
                let isHeld = SharedWord(region.base, offset: 1024)
                let child = try ForkedProcess {
                    try Thread.start(name: "mp-test") {
                        _ = try? lock.acquire(for: .task(7))
                        _ = try? other.acquire(for: .task(9))
                        isHeld.store(1)
                        isHeld.wake(1)
                    }
                    while true { pause() }
                }
                try waitFor("the lock to be held") { isHeld.load() == 1 }
                try require(try lock.acquire(until: Deadline(timeout: .milliseconds(5))) == .timedOut, "not held")
                kill(child.pid, SIGKILL)
                let outcomes = (try lock.acquire(), try other.acquire())
                try require(outcomes == (.ownerDied(child.pid), .ownerDied(child.pid)), "\(outcomes)")
                try child.join()
            }
        }

        @Test func `a lock that was left behind is taken though the one who was woken for that was killed`()
            async throws
        {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                let dead = try ForkedProcess { _exit(0) }
                try dead.join()
                // As a task of the dead process left it, whose last thread is still to end.
                SharedWord(region.base, offset: 0).store(UInt32(dead.pid))
                SharedWord(region.base, offset: 4).store(UInt32(dead.pid))
                SharedWord(region.base, offset: 56).store(UInt32(dead.pid))
                SharedWord(region.base, offset: 60).store(1)
                let waiters = try (0..<2).map { _ in
                    try ForkedProcess {
                        let outcome = try lock.acquire(until: Deadline(timeout: .seconds(60)))
                        try require(outcome == .ownerDied(dead.pid) || outcome == .acquired, "\(outcome)")
                        try require(lock.release(by: .thread), "not released")
                    }
                }
                for waiter in waiters { try waitFor("the waiter") { lock.hasWaiters && isAsleep(waiter.pid) } }
                // The kernel marks the notice and wakes one, of which nothing more is heard.
                SharedWord(region.base, offset: 16).store(0x4000_0000)
                for waiter in waiters { try require(try waiter.join() == 0, "slept on") }
            }
        }

        @Test func `tasks get no more locks than the kernel passes on when their process ends`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 64 * 2100, name: "mp-test")
                let child = try ForkedProcess {
                    var held = 0
                    while held < 2100, (try? RobustLock(region.base + 64 * held).acquire(for: .task(7))) == .acquired {
                        held += 1
                    }
                    try require((1700..<2048).contains(held), "\(held) locks")
                    // One that is given up makes room.
                    try require(RobustLock(region.base).release(by: .task(7)), "not released")
                    try require(try RobustLock(region.base).acquire(for: .task(7)) == .acquired, "no room")
                    kill(getpid(), SIGKILL)
                }
                try require(try child.join() == SIGKILL, "the child failed")
                var passedOn = 0
                while try RobustLock(region.base + 64 * passedOn).acquire(until: .passed) == .ownerDied(child.pid) {
                    passedOn += 1
                }
                try require(passedOn > 1700, "\(passedOn) were passed on")
                for index in passedOn + 1..<2100 {
                    let outcome = try RobustLock(region.base + 64 * index).acquire(until: .passed)
                    try require(outcome == .acquired, "\(outcome)")
                }
            }
        }

        @Test func `a task's lock is not released by others`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                try require(try lock.acquire(for: .task(7)) == .acquired, "not acquired")
                try require(
                    lock.isHeld(by: .task(7)) && !lock.isHeld(by: .task(8)) && !lock.isHeld(by: .thread),
                    "wrong owner"
                )
                try require(!lock.release(by: .task(8)) && !lock.release(by: .thread), "released by another")
                try require(try lock.acquire(for: .task(7)) == .heldByCaller, "waited for itself")
                let child = try ForkedProcess {
                    try require(!lock.release(by: .task(7)), "released by another process")
                    try require(try lock.acquire(for: .task(7), until: .passed) == .timedOut, "acquired")
                }
                try require(try child.join() == 0, "the child could use the lock")
                try require(lock.release(by: .task(7)), "not released")
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a forked child takes and gives up locks of its own, as a thread and as a task`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                for holder in [LockHolder.thread, .task(5)] {
                    // The parent's list and holder are there before the fork.
                    try require(try lock.acquire(for: holder) == .acquired, "not acquired")
                    let child = try ForkedProcess {
                        try require(
                            try lock.acquire(for: holder, until: Deadline(timeout: .seconds(60))) == .acquired,
                            "not acquired"
                        )
                        try require(lock.release(by: holder), "not released")
                    }
                    try require(lock.release(by: holder), "not released")
                    try require(try child.join() == 0, "the child failed")
                }
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a waiter that is killed after it was woken passes the lock on`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                let passes = SharedWord(region.base, offset: 1024)
                for _ in 0..<200 {
                    Laboratory.signOfLife()
                    _ = try lock.acquire()
                    let waiters = try (0..<2).map { _ in
                        try ForkedProcess {
                            _ = try lock.acquire()
                            passes.add(1)
                            _ = lock.release(by: .thread)
                        }
                    }
                    try waitFor("a waiter") { lock.hasWaiters }
                    _ = lock.release(by: .thread)
                    try waiters[0].destroy()
                    try require(try waiters[1].join() == 0, "the other waiter failed")
                    if case .ownerDied = try lock.acquire() {}
                    _ = lock.release(by: .thread)
                }
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a waiter that is killed after it was woken costs the others nothing when somebody else was faster`()
            async throws
        {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                for _ in 0..<200 {
                    Laboratory.signOfLife()
                    _ = try lock.acquire()
                    let waiters = try (0..<3).map { _ in
                        try ForkedProcess {
                            Spinning.disable()
                            _ = try lock.acquire()
                            _ = lock.release(by: .thread)
                        }
                    }
                    try waitFor("the waiters") { waiters.allSatisfy { isAsleep($0.pid) } }
                    // Wakes the first, takes the lock before it can, and kills it.
                    _ = lock.release(by: .thread)
                    let isFaster = try lock.acquire(until: .passed) == .acquired
                    for waiter in waiters.dropLast() { kill(waiter.pid, SIGKILL) }
                    if isFaster { _ = lock.release(by: .thread) }
                    for waiter in waiters.dropLast() { try waiter.join() }
                    try waitFor("the last waiter's turn") { !isAsleep(waiters[2].pid) }
                    try require(try waiters[2].join() == 0, "the last waiter failed")
                    _ = try lock.acquire()
                    _ = lock.release(by: .thread)
                }
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a lock that was waited for is free without a mark when nobody waits any more`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                for holder in [LockHolder.thread, .task(7)] {
                    _ = try lock.acquire(for: holder)
                    let waiter = try ForkedProcess {
                        _ = try lock.acquire()
                        _ = lock.release(by: .thread)
                    }
                    try waitFor("a waiter") { lock.hasWaiters }
                    try require(lock.release(by: holder), "not released")
                    try require(try waiter.join() == 0, "the waiter failed")
                    try require(!lock.hasWaiters && !lock.isLocked && lock.acquireIfFree(), "the lock is marked")
                    _ = lock.release(by: .thread)
                }
                withExtendedLifetime(region) {}
            }
        }

        @Test func `a taker that is killed after it was woken passes the permit on`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let semaphore = SemaphoreState(region.base)
                semaphore.initialize(value: 0, maximum: 10)
                let arrivals = SharedWord(region.base, offset: 1024)
                Spinning.disable()
                for _ in 0..<300 {
                    Laboratory.signOfLife()
                    arrivals.store(0)
                    let takers = try (0..<2).map { _ in
                        try ForkedProcess {
                            arrivals.add(1)
                            _ = semaphore.acquire(until: .never)
                        }
                    }
                    try waitFor("both to sleep") { arrivals.load() == 2 && takers.allSatisfy { isAsleep($0.pid) } }
                    try require(semaphore.release(), "refused")
                    try takers[0].destroy()
                    // Taken by the one before it was killed, or by the other.
                    try waitFor("the permit to be taken") { semaphore.value == 0 }
                    try takers[1].destroy()
                }
            }
        }

        @Test func `a wait is not cut short by signals, and ends in time`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                signal(SIGUSR1) { _ in }
                _ = try lock.acquire()
                let target = getpid()
                let child = try ForkedProcess { for _ in 0..<200 { kill(target, SIGUSR1) } }
                let start = mp_now()
                try require(try lock.acquire(until: Deadline(timeout: .milliseconds(100))) == .timedOut, "acquired")
                let waited = mp_now() - start
                try require(waited >= 100_000_000 && waited < 30_000_000_000, "waited for \(waited) ns")
                try child.join()
                withExtendedLifetime(region) {}
            }
        }

        @Test func `cancelling ends a wait, before and after it has begun`() async throws {
            try await Laboratory.run {
                let (region, lock) = try makeLock()
                _ = try lock.acquire()
                for early in [true, false] {
                    let cancellation = WaitCancellation()
                    if early { cancellation.cancel() }
                    if !early { try Thread.start(name: "mp-test") { cancellation.cancel() } }
                    let outcome = try lock.acquire(for: .task(3), cancellation: cancellation)
                    try require(outcome == .cancelled, "\(outcome)")
                }
                _ = lock.release(by: .thread)
                withExtendedLifetime(region) {}
            }
        }
    }
}

/// Makes a robust mutex of the C library's own, between processes.
private func makeRobust(_ mutex: UnsafeMutablePointer<pthread_mutex_t>) -> Int32 {
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_setpshared(&attributes, Int32(PTHREAD_PROCESS_SHARED))
    pthread_mutexattr_setrobust(&attributes, Int32(PTHREAD_MUTEX_ROBUST))
    return pthread_mutex_init(mutex, &attributes)
}
