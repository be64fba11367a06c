// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct AsyncLockTests {
    @Test func `a task holds a lock across suspensions and releases it on whatever thread it runs`() async throws {
        let lock = try Lock()
        try await lock.acquire()
        await Task.yield()
        #expect(lock.isLocked && "\(lock)" == "Lock(owner: MainProcess|task)")
        let isTaken = try await Task { try await lock.acquire(timeout: .zero) }.value
        #expect(!isTaken)
        await #expect { try await Task { try lock.release() }.value } throws: {
            ($0 as? SynchronizationError)?.code == .notOwner
        }
        try lock.release()
        #expect(!lock.isLocked)
    }

    @Test func `a task that acquires its own lock for ever gets an error`() async throws {
        let lock = try Lock()
        try await lock.withLock { () async throws in
            await Task.yield()
            await #expect { try await lock.acquire() } throws: { ($0 as? SynchronizationError)?.code == .deadlock }
            #expect(try await lock.acquire(timeout: .milliseconds(5)) == false)
        }
        #expect(!lock.isLocked)
    }

    @Test func `a recursive lock counts a task's acquisitions`() async throws {
        let lock = try RecursiveLock()
        try await lock.withLock {
            await Task.yield()
            try await lock.withLock {
                await Task.yield()
                #expect(lock.count == 2)
            }
            #expect(lock.count == 1)
        }
        #expect(lock.count == 0)
    }

    @Test func `many tasks take turns`() async throws {
        let lock = try Lock()
        let counter = try SharedArray<Int>(count: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                group.addTask {
                    for _ in 0..<20 {
                        if index.isMultiple(of: 2) {
                            try await lock.withLock {
                                let seen = counter[0]
                                await Task.yield()
                                counter[0] = seen + 1
                            }
                        } else {
                            try await lock.withLock { counter[0] += 1 }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(counter[0] == 400)
        #expect(!lock.isLocked)
    }

    @Test func `a cancelled wait for a lock ends at once and leaves the lock sound`() async throws {
        let lock = try Lock()
        try await lock.acquire()
        let tasks = (0..<8).map { _ in Task { try await lock.withLock {} } }
        for task in tasks { task.cancel() }
        for task in tasks { await #expect(throws: CancellationError.self) { try await task.value } }
        try lock.release()
        #expect(try await lock.acquire(timeout: .seconds(60)))
        try lock.release()
    }

    @Test func `cancelling at the moment of the release loses neither the lock nor a waiter`() async throws {
        let lock = try Lock()
        for _ in 0..<300 {
            try await lock.acquire()
            let cancelled = Task { try await lock.withLock {} }
            let other = Task { try await lock.acquire(timeout: .seconds(60)) ? try lock.release() : () }
            await Task.yield()
            async let cancel: Void = cancelled.cancel()
            try lock.release()
            await cancel
            _ = await cancelled.result
            try await other.value
        }
        #expect(!lock.isLocked)
    }

    @Test func `a lock that a task held passes on when its process is killed`() async throws {
        let lock = try Lock()
        let held = try Event()
        let child = ChildProcess {
            try await lock.acquire()
            held.set()
            try await Task.sleep(for: .seconds(60))
        }
        try child.start()
        #expect(try await held.wait(timeout: .seconds(60)))
        let waiter = Task { try await lock.acquire(timeout: .seconds(60)) }
        try child.kill()
        let pid = child.processIdentifier
        await #expect { try await waiter.value } throws: { ($0 as? OwnerDied)?.processIdentifier == pid }
        #expect(try await lock.acquire(timeout: .zero))
        try lock.release()
        try await child.join()
    }

    @Test func `a cancelled wait for a semaphore leaves its permits`() async throws {
        let semaphore = try Semaphore(value: 0)
        let task = Task { try await semaphore.acquire() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try semaphore.release()
        #expect(try await semaphore.acquire(timeout: .zero))
    }
}
