// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct LockTests {
    @Test func `a lock is acquired once and released by its owner`() throws {
        let lock = try Lock()
        #expect(!lock.isLocked)
        #expect(try lock.acquire())
        #expect(lock.isLocked)
        #expect(try !lock.acquire(timeout: .zero))
        #expect(try !lock.acquire(timeout: .seconds(-1)))
        #expect(try !lock.acquire(timeout: .milliseconds(5)))
        try lock.release()
        #expect(!lock.isLocked)
    }

    @Test func `acquiring a held lock for ever is an error instead of a deadlock`() throws {
        let lock = try Lock()
        try lock.acquire()
        #expect { try lock.acquire() } throws: { ($0 as? SynchronizationError)?.code == .deadlock }
        try lock.release()
    }

    @Test func `releasing a lock that is free, or somebody else's, is an error and changes nothing`() throws {
        let lock = try Lock()
        #expect { try lock.release() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
        try lock.acquire()
        let (code, isLocked) = try onThread {
            let error = #expect(throws: SynchronizationError.self) { try lock.release() }
            return (error?.code, lock.isLocked)
        }
        #expect(code == .notOwner && isLocked)
        try lock.release()
    }

    @Test func `a lock says who holds it`() throws {
        let lock = try Lock()
        #expect("\(lock)" == "Lock(owner: none)")
        try lock.withLock { #expect("\(lock)".hasPrefix("Lock(owner: MainProcess")) }
        let recursive = try RecursiveLock()
        try recursive.withLock {
            try recursive.withLock {
                #expect(
                    "\(recursive)".hasPrefix("RecursiveLock(owner: MainProcess")
                        && "\(recursive)".hasSuffix("count: 2)")
                )
            }
        }
        #expect("\(recursive)" == "RecursiveLock(owner: none, count: 0)")
        let seen = try ChildProcess.run { try lock.withLock { lock.description } }
        #expect(seen.hasPrefix("Lock(owner: Process-"))
    }

    @Test func `a recursive lock is free when it was released as often as acquired`() throws {
        let lock = try RecursiveLock()
        try lock.acquire()
        #expect(try lock.acquire(timeout: .zero))
        #expect(lock.count == 2)
        try lock.release()
        #expect(lock.isLocked)
        #expect(try onThread { try !lock.acquire(timeout: .zero) })
        try lock.release()
        #expect(!lock.isLocked)
        #expect { try lock.release() } throws: { ($0 as? SynchronizationError)?.code == .notOwner }
    }

    @Test func `the lock is released when the body throws`() throws {
        let lock = try Lock()
        #expect(throws: TestFailure.self) { try lock.withLock { throw TestFailure() } }
        #expect(!lock.isLocked)
    }

    @Test func `the next owner learns once that a process died with the lock`() throws {
        let lock = try Lock()
        let child = ChildProcess { try lock.withLock { _ = kill(getpid(), SIGKILL) } }
        try child.start()
        try child.join()
        let pid = child.processIdentifier
        #expect { try lock.withLock {} } throws: { ($0 as? OwnerDied)?.processIdentifier == pid }
        #expect(try lock.withLock { 1 } == 1)
    }

    @Test func `recover goes on after a death, and nobody else is told of it`() throws {
        let lock = try RecursiveLock()
        let child = ChildProcess {
            try lock.acquire()
            try lock.acquire()
            _exit(3)
        }
        try child.start()
        try child.join()
        #expect(try lock.recover { lock.count } == 1)
        #expect(try lock.withLock { 1 } == 1)
    }

    @Test func `a process that ends normally with a lock passes it on too`() throws {
        let lock = try Lock()
        let child = ChildProcess { try lock.acquire() }
        try child.start()
        try child.join()
        #expect(throws: OwnerDied.self) { try lock.acquire() }
        #expect(!lock.isLocked)
    }

    @Test(.tags(.keepsMemory)) func `a lock whose last reference is dropped while it is held stays held`() throws {
        let other: Lock
        do {
            let lock = try Lock()
            other = try copy(lock)
            try lock.acquire()
        }
        #expect(try !other.acquire(timeout: .zero))
        try other.release()
        #expect(try other.acquire(timeout: .zero))
        try other.release()
    }

    @Test func `four processes count to the right sum`() throws {
        let lock = try Lock()
        let counter = try SharedArray<Int>(count: 1)
        let children = (0..<4).map { _ in
            ChildProcess { for _ in 0..<10_000 { try lock.withLock { counter[0] += 1 } } }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(counter[0] == 40_000)
    }
}
