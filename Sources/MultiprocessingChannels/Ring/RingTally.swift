// SPDX-License-Identifier: Apache-2.0
//
// How many of the messages that were put have been dealt with.
//
//   offset   size
//      448     64   lock of those who count
//      512      8   how many have been dealt with, modulo 2^28
//      520      4   WAITING (bit 31): somebody sleeps on this word until none is left
//      524      4   not 0: tasks wait for that
//
// How many were put is the sequence of the tail, so that a put needs no second store.

internal import CMultiprocessing
package import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    private var tally: RobustLock { RobustLock(base + 448) }
    private var dealtWith: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + 512).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    private var joiners: SharedWord { SharedWord(base, offset: 520) }
    private static var joinersBell: Int { 524 }

    /// How many messages were put and not dealt with yet.
    package var unfinished: Int {
        // Acquiring: what was done before a message was counted as dealt with is seen.
        let done = Int(truncatingIfNeeded: dealtWith.pointee.load(ordering: .acquiring))
        return (RingPosition(word: tail.pointee.load(ordering: .acquiring)).sequence - done) & RingPosition.largestCount
    }

    /// Counts one more message as dealt with; false when there is none.
    package func countAsDealtWith() throws(SystemError) -> Bool {
        // A dead holder left nothing half-done.
        if !tally.acquireIfFree() { _ = try tally.acquire() }
        defer { _ = tally.releaseIfHeldByThread() }
        let left = unfinished
        guard left > 0, let list = mp_this_thread().pointee.robust else { return false }
        // As in `RingBell`: the bell before the store, the sleeper after it, or by the kernel.
        if left == 1 { ringIfMarked(Self.joinersBell) }
        mp_robust_pending(list, base + 520)
        // Relaxed: only changed under this lock.
        let next = (dealtWith.pointee.load(ordering: .relaxed) + 1) & UInt64(RingPosition.largestCount)
        dealtWith.pointee.store(next, ordering: .releasing)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if left == 1 { wakeJoiners() }
        mp_robust_pending(list, nil)
        return true
    }

    private func wakeJoiners() {
        guard joiners.load(.relaxed) != 0 else { return }
        joiners.exchange(0)
        joiners.wake(Int32.max)
    }

    /// Waits until every message that was put has been dealt with.
    package func waitUntilFinished(until deadline: Deadline) -> RingOutcome {
        while unfinished > 0 {
            if deadline.hasPassed { return .timedOut }
            joiners.exchange(Self.waiting)
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            if unfinished == 0 { break }
            _ = joiners.wait(while: Self.waiting, until: deadline)
        }
        // If the waker died it woke only one: this one.
        wakeJoiners()
        return .done
    }

    /// Marks that a task waits until none is left; returns whether somebody may be about to count without having seen that.
    package func markWaitingUntilFinished() -> Bool {
        mark(SharedWord(base, offset: Self.joinersBell))
        return tally.isLocked
    }
}
