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
    var joiners: SharedWord { SharedWord(base, offset: Offset.joiners) }

    /// How many messages were put and not dealt with yet. What can be taken no more, because the ring was closed, needs nobody to deal with it.
    package var unfinished: Int { unfinished(isClosed: isClosed) }

    private func unfinished(isClosed: Bool) -> Int {
        // Acquiring: what was done before a message was counted as dealt with is seen. Before the positions, which never fall behind it then.
        unfinished(done: dealtWith.pointee.load(ordering: .acquiring), isClosed: isClosed)
    }

    /// How many there are if so many have been dealt with.
    private func unfinished(done: UInt64, isClosed: Bool) -> Int {
        let done = Int(truncatingIfNeeded: done)
        let last = RingPosition(word: (isClosed ? head : tail).pointee.load(ordering: .acquiring))
        let left = (last.sequence - done) & RingPosition.largestCount
        // More may have been counted than was taken.
        return isClosed && left > RingPosition.largestCount / 2 ? 0 : left
    }

    /// Counts one more message as dealt with; false when there is none.
    package func countAsDealtWith() throws(SystemError) -> Bool {
        try countAsDealtWith(midway: {})
    }

    /// `countAsDealtWith` with a call in the middle, for tests.
    @inline(__always)
    func countAsDealtWith(midway: () -> Void) throws(SystemError) -> Bool {
        // A dead holder left nothing half-done.
        if !tally.acquireIfFree() { _ = try tally.acquire() }
        defer { _ = tally.releaseIfHeldByThread() }
        let left = unfinished
        guard left > 0, let list = mp_this_thread().pointee.robust else { return false }
        midway()
        // As in `RingBell`: the bell before the store, the sleeper after it, or by the kernel.
        if left == 1 { ringIfMarked(Offset.joinersBell) }
        mp_robust_pending(list, base + Offset.joiners)
        // Relaxed: only changed under this lock.
        let next = (dealtWith.pointee.load(ordering: .relaxed) + 1) & UInt64(RingPosition.largestCount)
        dealtWith.pointee.store(next, ordering: .releasing)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        // Asked again: who waits may have been told of the end meanwhile, and not wait for what was not taken any more.
        if unfinished == 0 { wakeJoiners() }
        mp_robust_pending(list, nil)
        return true
    }

    /// Wakes all who sleep until none is left, in one step: as long as one may sleep the mark is there.
    private func wakeJoiners() {
        guard joiners.load(.relaxed) != 0 else { return }
        joiners.clearAndWake(Int32.max)
    }

    /// Waits until every message that was put has been dealt with, until `deadline` or `cancellation`.
    package func waitUntilFinished(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil
    ) throws(SystemError) -> RingOutcome {
        var takesAreOver = false
        while true {
            let isClosed = isClosed
            if closing.isCancelled { return .abandoned }
            if isClosed, !takesAreOver {
                let outcome = try awaitTakes(until: deadline, cancellation)
                guard outcome == .done else { return outcome }
                takesAreOver = true
            }
            if unfinished(isClosed: isClosed) == 0 { break }
            if deadline.hasPassed { return .timedOut }
            if let cancellation, cancellation.isCancelled { return .cancelled }
            joiners.exchange(Self.waiting)
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            // Before the looks: what changes after them ends the sleep before it begins. Of the count, which stays below 2^28, the lower half; a little-endian pair.
            let done = dealtWith.pointee.load(ordering: .acquiring)
            var words = FutexSet(joiners, is: Self.waiting)
            words.add(state, is: state.load())
            words.add(SharedWord(base, offset: 512), is: UInt32(truncatingIfNeeded: done))
            if self.isClosed != isClosed || unfinished(done: done, isClosed: isClosed) == 0 || closing.isCancelled {
                continue
            }
            sleepWithOthers(words, wasClosed: isClosed, until: deadline, cancellation)
        }
        return .done
    }

    /// Sleeps until somebody wakes the joiners.
    ///
    /// A waker that died woke only one: the kernel did it. That one wakes the others before it does anything else, or, if it dies first, the kernel wakes the next.
    private func sleepWithOthers(
        _ words: FutexSet,
        wasClosed: Bool,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?
    ) {
        let list = mp_this_thread().pointee.robust
        mp_robust_pending(list, base + Offset.joiners)
        _ = words.wait(until: deadline, cancellation: cancellation, areRare: true)
        if isClosed != wasClosed || unfinished(isClosed: wasClosed) == 0 { wakeJoiners() }
        mp_robust_pending(list, nil)
    }

    /// Waits until a take is over that began before the ring was closed.
    private func awaitTakes(
        until deadline: Deadline,
        _ cancellation: WaitCancellation?
    ) throws(SystemError) -> RingOutcome {
        let outcome = try consumers.acquire(until: deadline, cancellation: ending(cancellation))
        switch outcome {
        case .acquired, .ownerDied:
            if outcome != .acquired { forgetWaker(Offset.consumers) }
            _ = consumers.releaseIfHeldByThread()
            return .done
        case .cancelled: return closing.isCancelled ? .abandoned : .cancelled
        default: return .timedOut
        }
    }

    /// Marks that a task waits until none is left; returns whether somebody may be about to count, or to end the ring, without having seen that.
    package func markWaitingUntilFinished() -> Bool {
        mark(SharedWord(base, offset: Offset.joinersBell))
        return tally.isLocked || isBeingEnded || isClosed && consumers.isLocked
    }
}
