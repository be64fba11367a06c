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
        #expect(attempts.step(after: lock, now: 5 + CopyAttempts.patience) == .tolerate(lock))
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
        #expect(attempts.step(after: passedOn, now: 2 * CopyAttempts.patience) == .tolerate(passedOn))
    }
}
