// SPDX-License-Identifier: Apache-2.0
//
// How a ring ends. Producers learn it first (SHUT), then consumers (ENDED): between the two the puts under way come to their end, so that a consumer that is told of the end has seen the last message.
//
// Whoever ends it may be killed in between. Sleepers: each step names the word of those whom it concerns as pending, so that the kernel wakes them if the step was the last act. Tasks: the bell rings
// under a lock of those who end, before the first step; who looks after that and sees the lock held looks again soon. A shutdown that got no further than SHUT is finished by the next put, or by
// a consumer that finds no message: the very first step (BEGUN) wakes the one who sleeps, and from then on none sleeps before ENDED but does what is left of the end itself.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// Says to all processes that a handle was closed here, after its socket was.
    package func depart() {
        departures.add(1)
        wakeEverybody()
    }

    /// Accepts no more messages, and with `now` gives none out any more; wakes everybody who waits. Messages that are there can still be taken, unless `now`. Blocks for a moment while somebody puts, a second at most.
    package func shutDown(now: Bool = false) {
        let mine = acquireForAMoment(enders)
        ring()
        raise(Self.begun, waking: Offset.items)
        raise(Self.shut, waking: Offset.space)
        // Until a put under way is over. With the lock, so that tasks wait for it too, or without after a moment: a stopped process must not hold up the end.
        let isAlone = acquireForAMoment(producers)
        raise(Self.ended, waking: Offset.items)
        if isAlone { _ = producers.releaseIfHeldByThread() }
        // What is left counts as dealt with (`unfinished`). Of several joiners the first one wakes the others.
        if now { raise(Self.closed, waking: Offset.joiners) }
        if mine { _ = enders.releaseIfHeldByThread() }
    }

    /// Finishes a shutdown whose caller was killed in the middle; with the producers' lock, or after a second without.
    @inline(never)
    func finishShutDown() {
        guard !hasEnded else { return }
        ring()
        raise(Self.ended, waking: Offset.items)
    }

    /// Whether an end was begun of which consumers have not been told.
    @inline(__always)
    var isHalfEnded: Bool {
        word(Offset.state).pointee.load(ordering: .acquiring) & (Self.begun | Self.ended) == Self.begun
    }

    /// Does what is left of an end, as `shutDown` does, for a consumer that has found no message: whoever began it may be dead. With the consumers' lock.
    ///
    /// - Returns: How the call for a message ends, if it must before the end is known; nil: look again.
    @inline(never)
    func helpToEnd(until deadline: Deadline, _ cancellation: WaitCancellation?) throws(SystemError) -> RingOutcome? {
        raise(Self.shut, waking: Offset.space)
        let outcome = try producers.acquire(
            until: min(deadline, Deadline(timeout: .seconds(1))),
            cancellation: cancellation
        )
        switch outcome {
        case .acquired, .ownerDied:
            if outcome != .acquired { forgetWaker(Offset.producers) }
            finishShutDown()
            _ = producers.releaseIfHeldByThread()
        case .cancelled:
            return .cancelled
        case .timedOut, .heldByCaller:
            if deadline.hasPassed { return .timedOut }
            // As in `shutDown`: not longer than a second.
            finishShutDown()
        }
        return nil
    }

    /// Does what is left of an end if that takes no waiting, for those who ask whether there is a message or an end.
    @inline(never)
    package func helpToEndNow() {
        guard isHalfEnded else { return }
        let outcome = try? consumers.acquire(until: .passed)
        switch outcome {
        case .acquired, .ownerDied:
            if outcome != .acquired { forgetWaker(Offset.consumers) }
            _ = try? helpToEnd(until: .passed, nil)
            leave(Offset.consumers)
        // Whoever has it helps.
        default: return
        }
    }

    /// Sets bits of the state, and wakes the one who sleeps on the word at `offset`; if this thread dies in between, where tests call `midway`, the kernel wakes it.
    @inline(__always)
    func raise(_ bits: UInt32, waking offset: Int, midway: () -> Void = {}) {
        guard let list = mp_this_thread().pointee.robust else { return }
        let sleeper = SharedWord(base, offset: offset)
        mp_robust_pending(list, base + offset)
        // Of several joiners the one whom the kernel wakes needs the mark; and the kernel looks at the state before they sleep. Others look again, and sleep on the state as well: who takes the mark back without the
        // lock of the side that stores must not leave anybody asleep who is not marked, were it only stopped here.
        if offset != Offset.joiners, sleeper.loadInOrder() != 0 { sleeper.clearAndWake(Int32.max) }
        while true {
            let seen = state.load()
            if seen & bits == bits || state.replace(seen, with: seen | bits) { break }
        }
        midway()
        // In one step: the one whom the kernel wakes in this thread's place sees by the mark that others may sleep on.
        sleeper.clearAndWake(Int32.max)
        mp_robust_pending(list, nil)
    }

    /// Takes a lock that nobody has for long, unless it does take long; returns whether it is held now.
    private func acquireForAMoment(_ lock: RobustLock) -> Bool {
        switch try? lock.acquire(until: Deadline(timeout: .seconds(1))) {
        case .acquired: return true
        // A dead holder left nothing half-done.
        case .ownerDied:
            if lock.base == producers.base { forgetWaker(Offset.producers) }
            return true
        default: return false
        }
    }

    /// Whether somebody may be about to end the ring without having seen that a task waits.
    package var isBeingEnded: Bool { enders.isLocked }

    /// Notes that the other side is gone, and wakes those of this process who wait for it.
    package func abandon() {
        abandonHere()
        wakeEverybody()
    }

    /// Notes that the other side is gone, without waking anybody.
    package func abandonHere() {
        isAbandonedHere.store(true, ordering: .releasing)
    }

    /// Ends all that waits with this object, and what is begun later, in this process: `abandoned`.
    package func closeHere() {
        abandonHere()
        closing.cancel()
        wakeEverybody()
        joiners.clearAndWake(Int32.max)
    }

    /// Whatever ends a wait for a lock of the ring.
    func ending(_ cancellation: WaitCancellation?) -> WaitCancellation {
        cancellation.map { WaitCancellation(joining: $0, closing) } ?? closing
    }

    /// Lets everybody look again who waits.
    package func wakeEverybody() {
        // In one step: were this thread killed between the mark and the wake, whoever stores next would see no mark.
        for word in [items, space] { word.clearAndWake(Int32.max) }
        ring()
    }
}
