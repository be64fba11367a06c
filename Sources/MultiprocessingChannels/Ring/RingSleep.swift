// SPDX-License-Identifier: Apache-2.0
//
// How a thread waits for the other side of a ring: it watches for a while (`Spinning` tells how long that pays), then the kernel puts it to sleep.
//
// Each look at a position takes its cache line away from the one who stores it. While messages come one after another a consumer that looked all the time would make every single put wait for that
// line, and so would a producer that waits for room. So a thread that has found what it waited for with its first look looks away a little longer next time, up to about as long as a few
// messages take, as long as several had come meanwhile, and half as long when it was one or none: whoever waits for an answer looks at once.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// The most pauses before the first look, and how many looks come one after another, most of them without a pause, before pauses grow.
    private static var longestPace: UInt32 { 16 }
    private static var quickLooks: UInt32 { 128 }
    /// In a pace: which bits say with how many looks the last wait began, if one of them was worth it.
    private static var looksShift: UInt32 { 8 }

    /// Decides how many pauses come before the first look of the next wait, if that of this one came after `before` pauses and found so many messages, or so many that were taken.
    ///
    /// Whoever has looked away for long finds even an answer with the first look: that there is but one tells it from what comes one after another. Before a pause or two it would be one in either case.
    static func nextPace(_ before: UInt32, found count: Int) -> UInt32 {
        before < 2 || count > 1 ? min(2 * before + 1, longestPace) : before / 2
    }

    /// Sleeps on `word` until `isOver`, the deadline or the cancellation; with the lock of the own side, so that nobody else sleeps there.
    ///
    /// - Parameter found: Returns how much has come of what is waited for.
    @inline(__always)
    func sleep(
        on word: SharedWord,
        pace: borrowing Atomic<UInt32>,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        found: () -> Int,
        _ isOver: () -> Bool
    ) -> FutexWaitResult {
        if deadline.nanoseconds != .max, deadline.hasPassed { return .timedOut }
        if watch(pace, found, isOver) { return .lookAgain }
        return sleepInKernel(on: word, until: deadline, cancellation, isOver)
    }

    /// Looks again and again until `isOver` or the time for that is over, and returns whether it was.
    ///
    /// The first looks after the pace come almost without pauses. They cost the other side no more than one would: its store takes the line back once.
    @inline(__always)
    private func watch(_ pace: borrowing Atomic<UInt32>, _ found: () -> Int, _ isOver: () -> Bool) -> Bool {
        // Relaxed, here and below: it stands alone, and only one who has the lock changes it.
        let last = pace.load(ordering: .relaxed)
        // What the last wait taught is learnt now, not when somebody waits for what is done with the message.
        if last >> Self.looksShift > 0 { Spinning.learn(last >> Self.looksShift, success: true) }
        let looks = Spinning.allowance()
        guard looks > 0 else { return false }
        let before = last & (1 << Self.looksShift - 1)
        for _ in 0..<before { mp_pause() }
        if isOver() {
            pace.store(Self.nextPace(before, found: found()), ordering: .relaxed)
            return true
        }
        pace.store(before / 2, ordering: .relaxed)
        // In all as many pauses as if every look had the longest.
        var left = looks * Spinning.longestPause
        var pauses: UInt32 = 1
        var quick = Self.quickLooks
        while left > 0 {
            if quick & 3 == 0 {
                for _ in 0..<pauses { mp_pause() }
                left -= min(left, pauses)
            }
            if isOver() {
                pace.store(looks << Self.looksShift | before / 2, ordering: .relaxed)
                return true
            }
            if quick > 0 { quick -= 1 } else if pauses < Spinning.longestPause { pauses += 1 }
        }
        Spinning.learn(looks, success: false)
        return false
    }

    /// Lets the kernel put the thread to sleep.
    @inline(never)
    private func sleepInKernel(
        on word: SharedWord,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ isOver: () -> Bool
    ) -> FutexWaitResult {
        if let cancellation, cancellation.isCancelled { return .cancelled }
        word.exchange(Self.waiting)
        // The mark before the look at the position.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        defer { word.store(0) }
        if isOver() { return .lookAgain }
        return word.wait(while: Self.waiting, until: deadline, cancellation: cancellation)
    }
}
