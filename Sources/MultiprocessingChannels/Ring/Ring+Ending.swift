// SPDX-License-Identifier: Apache-2.0
//
// How a ring ends. Producers learn it first (SHUT), then consumers (ENDED): between the two the puts under way come to their end, so that a consumer that is told of the end has seen the last message.
//
// Whoever ends it may be killed in between. Sleepers: each step names the word of those whom it concerns as pending, so that the kernel wakes them if the step was the last act. Tasks: the bell rings
// under a lock of those who end, before the first step; who looks after that and sees the lock held looks again soon. A shutdown that got no further than SHUT is finished by the next put.

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
        raise(Self.shut, waking: Offset.space)
        // Until a put under way is over. With the lock, so that tasks wait for it too, or without after a moment: a stopped process must not hold up the end.
        let isAlone = acquireForAMoment(producers)
        raise(Self.ended, waking: Offset.items)
        if isAlone { _ = producers.releaseIfHeldByThread() }
        // What is left counts as dealt with (`unfinished`). Of several joiners the first one wakes the others.
        if now { raise(Self.closed, waking: Offset.joiners) }
        if mine { _ = enders.releaseIfHeldByThread() }
    }

    /// Finishes a shutdown whose caller was killed in the middle; with the producers' lock.
    @inline(never)
    func finishShutDown() {
        guard !hasEnded else { return }
        ring()
        raise(Self.ended, waking: Offset.items)
    }

    /// Sets bits of the state, and wakes the one who sleeps on the word at `offset`; if this thread dies in between, where tests call `midway`, the kernel wakes it.
    @inline(__always)
    func raise(_ bits: UInt32, waking offset: Int, midway: () -> Void = {}) {
        guard let list = mp_this_thread().pointee.robust else { return }
        let sleeper = SharedWord(base, offset: offset)
        mp_robust_pending(list, base + offset)
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
        // A dead holder left nothing half-done.
        case .acquired, .ownerDied: true
        default: false
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

    /// Lets everybody look again who waits.
    package func wakeEverybody() {
        for word in [items, space] {
            word.exchange(0)
            word.wake(Int32.max)
        }
        ring()
    }
}
