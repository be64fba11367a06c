// SPDX-License-Identifier: Apache-2.0
//
// How tasks learn that they should look again.
//
// A task holds no lock while it waits, and cannot sleep on a word. It marks that it waits (`markWaiting…`), looks again, and is told by the ring's event descriptor, which is never read: each
// write is an edge for every process that watches it (epoll(7), EPOLLET), so no process can take a wake-up away from another.
//
// Whoever puts rings while it holds the producers' lock and before the message exists. Killed after the ring it has woken somebody for nothing; killed before, there is no message. What is
// left is a waiter that marked while the producer was between its look at the mark and its last store: it sees the lock held then, and must look again soon, not sleep for good. The same holds
// for takes with the sides exchanged.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// Marks that a task waits for messages. If there is none then, and `producersAreBusy` is false, the bell will ring for the next.
    package func markWaitingForItems() {
        mark(SharedWord(base, offset: Offset.itemsBell))
    }

    /// Marks that a task waits for room.
    package func markWaitingForSpace() {
        mark(SharedWord(base, offset: Offset.spaceBell))
    }

    /// Whether a producer, or somebody who ends the ring, may be about to finish without having seen a mark, or was killed before: who asks for messages finishes the end then, when it can.
    package var producersAreBusy: Bool { producers.isLocked || isBeingEnded || isHalfEnded }

    /// Whether a consumer, or somebody who ends the ring, may be about to finish without having seen a mark.
    package var consumersAreBusy: Bool { consumers.isLocked || isBeingEnded }

    /// A new value each time, so that whoever rings takes back no later mark than it has seen.
    func mark(_ word: SharedWord) {
        if word.add(1) == 0 { word.add(1) }
        // The mark before the looks at the lock and the position; pairs with the sequentially consistent exchange that takes the lock and the look in `ringIfMarked`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    /// Rings for those who have marked the word at `offset`; with the lock of the own side, before the store they wait for.
    @inline(__always)
    func ringIfMarked(_ offset: Int) {
        // The lock, taken in sequentially consistent order, before the look at the mark in the same order: a waiter that is missed here finds the lock held.
        let seen = word(offset).pointee.load(ordering: .sequentiallyConsistent)
        if seen != 0 { ring(seen, offset) }
    }

    @inline(never)
    private func ring(_ seen: UInt32, _ offset: Int) {
        ring()
        _ = SharedWord(base, offset: offset).replace(seen, with: 0)
    }

    /// Rings the bell.
    func ring() {
        var one: UInt64 = 1
        // Fails only after 2^64 rings.
        _ = Glibc.write(bell, &one, 8)
    }

    /// Stores `position` in `target` and wakes the other side's sleeper, whose word is at `offset`; if this thread dies in between the kernel wakes it.
    @inline(__always)
    func publish(_ position: RingPosition, in target: UnsafeMutablePointer<Atomic<UInt64>>, waking offset: Int) {
        guard let list = mp_this_thread().pointee.robust else { return }
        mp_robust_pending(list, base + offset)
        let isMarked = takeMarkBack(offset)
        // Releasing: pairs with the acquiring loads of the other side, which then sees the record, or that it may be overwritten. A plain store and a fence, no exchange: that would need the cache line
        // once more after the stores before it, when the one who watches it may have taken it.
        target.pointee.store(position.word, ordering: .releasing)
        // The position before the look at the sleeper's mark; pairs with the exchange and the fence in `sleepInKernel`.
        mp_full_fence()
        if isMarked || word(offset).pointee.load(ordering: .relaxed) != 0 { wakeSleeper(offset) }
        mp_robust_pending(list, nil)
    }

    /// Takes back the mark of the one who sleeps, or is about to, on the word at `offset`, before anything is stored that he waits for; with the lock of the own side, and the word named as pending. Returns whether
    /// it was there: he has to be woken then.
    @inline(__always)
    func takeMarkBack(_ offset: Int) -> Bool {
        // In one order with the exchange that took the lock: who has marked and found the lock free is seen here (`sleepInKernel`).
        guard word(offset).pointee.load(ordering: .sequentiallyConsistent) != 0 else { return false }
        SharedWord(base, offset: offset).exchange(0)
        return true
    }

    /// Wakes the one who sleeps on the word at `offset`, when all is stored that he waits for.
    @inline(never)
    private func wakeSleeper(_ offset: Int) {
        let sleeper = SharedWord(base, offset: offset)
        let waking = SharedWord(
            base,
            offset: offset == Offset.items ? Offset.wakingProducer : Offset.wakingConsumer
        )
        // The one who wakes now may be about to sleep again before this thread gets on: it need not mind the lock.
        waking.store(mp_this_thread().pointee.id)
        sleeper.exchange(0)
        sleeper.wake(1)
        // In one order with the next look at the mark (`takeMarkBack`).
        waking.exchange(0)
    }

    /// Notes that the last holder of the lock at `offset`, of one side, has died, perhaps while it woke somebody: its number may be another thread's one day, whom a sleeper would have to mind. With that lock.
    @inline(never)
    func forgetWaker(_ offset: Int) {
        SharedWord(base, offset: offset == Offset.producers ? Offset.wakingProducer : Offset.wakingConsumer).exchange(0)
    }
}
