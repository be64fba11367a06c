// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SemaphoreTests {
    @Test func `a semaphore gives as many permits as it has`() throws {
        let semaphore = try Semaphore(value: 2)
        #expect(try semaphore.acquire())
        #expect(try semaphore.acquire(timeout: .zero))
        #expect(try !semaphore.acquire(timeout: .zero))
        #expect(try !semaphore.acquire(timeout: .milliseconds(5)))
        #expect(semaphore.value == 0)
        try semaphore.release(3)
        #expect(semaphore.value == 3)
        #expect("\(semaphore)" == "Semaphore(value: 3)")
    }

    @Test func `anybody may give a permit back`() throws {
        let semaphore = try Semaphore(value: 0)
        let child = ChildProcess { try semaphore.release() }
        try child.start()
        #expect(try semaphore.acquire(timeout: .seconds(60)))
        try child.join()
    }

    @Test func `a bounded semaphore refuses more permits than it started with`() throws {
        let semaphore = try BoundedSemaphore(value: 2)
        #expect { try semaphore.release() } throws: { ($0 as? SynchronizationError)?.code == .tooManyReleases }
        try semaphore.acquire()
        #expect { try semaphore.release(2) } throws: { ($0 as? SynchronizationError)?.code == .tooManyReleases }
        try semaphore.release()
        #expect(semaphore.value == 2 && semaphore.maximumValue == 2)
        #expect("\(semaphore)" == "BoundedSemaphore(value: 2, maximum: 2)")
    }

    @Test func `impossible numbers of permits are errors`() throws {
        #expect(throws: SynchronizationError.self) { try Semaphore(value: -1) }
        #expect(throws: SynchronizationError.self) { try Semaphore(value: Int.max) }
        #expect(throws: SynchronizationError.self) { try Semaphore().release(0) }
        #expect(throws: SynchronizationError.self) { try Semaphore(value: Int(Int32.max)).release() }
    }

    @Test func `several permits at once wake several waiters`() throws {
        let semaphore = try Semaphore(value: 0)
        let done = try Semaphore(value: 0)
        let children = (0..<3).map { _ in
            ChildProcess {
                try semaphore.acquire()
                try done.release()
            }
        }
        for child in children { try child.start() }
        try semaphore.release(3)
        for _ in children { #expect(try done.acquire(timeout: .seconds(60))) }
        for child in children { try child.join() }
    }

    @Test func `a permit is given back when the body throws`() throws {
        let semaphore = try Semaphore(value: 1)
        #expect(throws: TestFailure.self) { try semaphore.withPermit { throw TestFailure() } }
        #expect(semaphore.value == 1)
    }
}
