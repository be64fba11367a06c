// SPDX-License-Identifier: Apache-2.0

import MultiprocessingPrimitives
import Testing

@testable import Multiprocessing

@Suite struct CopyAttemptsTests {
    private let lock = HeldLock(address: 0x1000, thread: 7)
    private let other = HeldLock(address: 0x2000, thread: 7)
    private let silent = HeldLock(address: 0x3000, thread: 0)

    /// Fails for `locks` as often as is needed, and once more at `end`.
    private func fail(_ attempts: inout CopyAttempts, _ locks: [HeldLock], from start: Int64, to end: Int64) {
        for _ in 1..<CopyAttempts.fewestAttempts { _ = attempts.step(after: locks, now: start) }
        _ = attempts.step(after: locks, now: end)
    }

    @Test func `pauses grow while the same locks are held, and begin anew with another`() {
        var attempts = CopyAttempts(tolerated: [])
        let pauses = (0..<12).map { attempts.step(after: [lock, other], now: $0) }
        var expected: Int64 = 20_000
        for pause in pauses {
            #expect(pause == .pause(nanoseconds: expected))
            expected = min(2 * expected, 5_000_000)
        }
        #expect(attempts.step(after: [lock], now: 12) == .pause(nanoseconds: 5_000_000))
        #expect(attempts.step(after: [lock, other], now: 13) == .pause(nanoseconds: 20_000))
        #expect(attempts.tolerated.isEmpty)
    }

    @Test func `locks that are held for a second do not count any more, whatever else is held meanwhile`() {
        var attempts = CopyAttempts(tolerated: [])
        for now in 0..<Int64(CopyAttempts.fewestAttempts) {
            let passing = HeldLock(address: UInt(now), thread: 8)
            _ = attempts.step(after: [passing, lock, other], now: now)
        }
        _ = attempts.step(after: [lock, other], now: CopyAttempts.patience - 1)
        #expect(attempts.tolerated.isEmpty)
        #expect(attempts.step(after: [lock, other], now: CopyAttempts.patience) == .pause(nanoseconds: 20_000))
        #expect(attempts.tolerated == [lock, other])
        #expect(attempts.kept == [lock, other])
    }

    @Test func `a second that passed without attempts does not count`() {
        var attempts = CopyAttempts(tolerated: [])
        _ = attempts.step(after: [lock], now: 0)
        for _ in 2..<CopyAttempts.fewestAttempts { _ = attempts.step(after: [lock], now: CopyAttempts.patience) }
        #expect(attempts.tolerated.isEmpty)
        _ = attempts.step(after: [lock], now: CopyAttempts.patience)
        #expect(attempts.tolerated == [lock])
    }

    @Test func `a lock that another thread has by now, or that was free meanwhile, is waited for anew`() {
        var attempts = CopyAttempts(tolerated: [])
        let passedOn = HeldLock(address: lock.address, thread: 8)
        fail(&attempts, [lock], from: 0, to: CopyAttempts.patience - 1)
        fail(&attempts, [passedOn], from: CopyAttempts.patience, to: 2 * CopyAttempts.patience - 1)
        fail(&attempts, [lock], from: 2 * CopyAttempts.patience, to: 3 * CopyAttempts.patience - 1)
        #expect(attempts.tolerated.isEmpty)
        _ = attempts.step(after: [lock], now: 3 * CopyAttempts.patience)
        #expect(attempts.tolerated == [lock])
    }

    @Test func `a lock that does not say who holds it is waited for with each copy`() {
        var attempts = CopyAttempts(tolerated: [other])
        fail(&attempts, [silent], from: 0, to: CopyAttempts.patience)
        #expect(attempts.tolerated == [other, silent])
        #expect(attempts.kept == [other])
    }

    @Test func `a lock that was held all the time does not count any more, however long an attempt takes`() {
        var attempts = CopyAttempts(tolerated: [])
        for number in 1..<Int64(CopyAttempts.fewestAttempts) {
            #expect(attempts.step(after: [lock], now: number * CopyAttempts.longestPatience) != .giveUp)
        }
        let now = Int64(CopyAttempts.fewestAttempts) * CopyAttempts.longestPatience
        #expect(attempts.step(after: [lock], now: now) == .pause(nanoseconds: 20_000))
        #expect(attempts.kept == [lock])
    }

    @Test func `locks that are held by turns keep a process from being copied for five seconds`() {
        var attempts = CopyAttempts(tolerated: [])
        for now in 0..<Int64(CopyAttempts.fewestAttempts) {
            let passing = HeldLock(address: UInt(now), thread: 8)
            #expect(attempts.step(after: [passing], now: now) == .pause(nanoseconds: 20_000))
        }
        let last = CopyAttempts.longestPatience
        #expect(attempts.step(after: [lock], now: last - 1) == .pause(nanoseconds: 20_000))
        #expect(attempts.step(after: [lock], now: last) == .giveUp)
    }
}
