// SPDX-License-Identifier: Apache-2.0

import MultiprocessingPrimitives
import Testing

@testable import Multiprocessing

@Suite struct CopyAttemptsTests {
    private let lock = HeldLock(address: 0x1000, thread: 7)
    private let other = HeldLock(address: 0x2000, thread: 7)

    @Test func `pauses grow while the same lock is held, and begin anew with another`() {
        var attempts = CopyAttempts(tolerated: [])
        let pauses = (0..<12).map { attempts.step(after: lock, now: $0) }
        var expected: Int64 = 20_000
        for pause in pauses {
            #expect(pause == .pause(nanoseconds: expected))
            expected = min(2 * expected, 5_000_000)
        }
        #expect(attempts.step(after: other, now: 12) == .pause(nanoseconds: 20_000))
        #expect(attempts.tolerated.isEmpty)
    }

    @Test func `a lock that is held for a second does not count any more`() {
        var attempts = CopyAttempts(tolerated: [other])
        #expect(attempts.step(after: lock, now: 5) == .pause(nanoseconds: 20_000))
        #expect(attempts.step(after: lock, now: 4 + CopyAttempts.patience) == .pause(nanoseconds: 40_000))
        #expect(attempts.step(after: lock, now: 5 + CopyAttempts.patience) == .tolerate(isKept: true))
        #expect(attempts.tolerated == [other, lock])
    }

    @Test func `a lock that another thread has by now is waited for anew`() {
        var attempts = CopyAttempts(tolerated: [])
        _ = attempts.step(after: lock, now: 0)
        let passedOn = HeldLock(address: lock.address, thread: 8)
        #expect(attempts.step(after: passedOn, now: CopyAttempts.patience) == .pause(nanoseconds: 20_000))
        #expect(
            attempts.step(after: passedOn, now: 2 * CopyAttempts.patience - 1) == .pause(nanoseconds: 40_000)
        )
        #expect(attempts.step(after: passedOn, now: 2 * CopyAttempts.patience) == .tolerate(isKept: true))
    }

    @Test func `a lock that does not say who holds it is waited for with each copy`() {
        var attempts = CopyAttempts(tolerated: [])
        let silent = HeldLock(address: 0x3000, thread: 0)
        _ = attempts.step(after: silent, now: 0)
        #expect(attempts.step(after: silent, now: CopyAttempts.patience) == .tolerate(isKept: false))
        #expect(attempts.tolerated == [silent])
    }

    @Test func `locks that are held by turns keep a process from being copied for five seconds`() {
        var attempts = CopyAttempts(tolerated: [])
        var now: Int64 = 100
        while now < 100 + CopyAttempts.longestPatience {
            #expect(attempts.step(after: now % 200 == 100 ? lock : other, now: now) == .pause(nanoseconds: 20_000))
            now += 900_000_100
        }
        #expect(attempts.step(after: lock, now: now) == .tolerate(isKept: false))
        #expect(attempts.step(after: other, now: now) == .tolerate(isKept: false))
        #expect(attempts.tolerated == [lock, other])
    }
}
