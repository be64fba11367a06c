// SPDX-License-Identifier: Apache-2.0
//
// How a thread waits for the other side of a ring: it watches for a while (`Spinning` tells how long that pays), then the kernel puts it to sleep.
//
// Each look at a position takes its cache line away from the one who stores it. While messages come one after another a consumer that looked all the time would make every single put wait for that
// line, and so would a producer that waits for room. So a thread that has found what it waited for with its first look looks away a little longer next time, up to about as long as a few
// messages take, and half as long when it did not: whoever waits for an answer looks at once.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// The most pauses before the first look, and how many looks come one after another before pauses grow.
    private static var longestPace: UInt32 { 16 }
    private static var quickLooks: UInt32 { 32 }

    /// Sleeps on `word` until `isOver`, the deadline or the cancellation; with the lock of the own side, so that nobody else sleeps there.
    @inline(__always)
    func sleep(
        on word: SharedWord,
        pace: borrowing Atomic<UInt32>,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ isOver: () -> Bool
    ) -> FutexWaitResult {
        if deadline.nanoseconds != .max, deadline.hasPassed { return .timedOut }
        if watch(pace, isOver) { return .lookAgain }
        return sleepInKernel(on: word, until: deadline, cancellation, isOver)
    }

    /// Looks again and again until `isOver` or the time for that is over, and returns whether it was.
    @inline(__always)
    private func watch(_ pace: borrowing Atomic<UInt32>, _ isOver: () -> Bool) -> Bool {
        let looks = Spinning.allowance()
        guard looks > 0 else { return false }
        // Relaxed, here and below: it stands alone, and only one who has the lock changes it.
        let before = pace.load(ordering: .relaxed)
        for _ in 0..<before { mp_pause() }
        if isOver() {
            pace.store(min(2 * before + 1, Self.longestPace), ordering: .relaxed)
            return true
        }
        pace.store(before / 2, ordering: .relaxed)
        // In all as many pauses as if every look had the longest.
        var left = looks * Spinning.longestPause
        var pauses: UInt32 = 1
        var quick = Self.quickLooks
        while left > 0 {
            for _ in 0..<pauses { mp_pause() }
            if isOver() {
                Spinning.learn(looks, success: true)
                return true
            }
            left -= min(left, pauses)
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
