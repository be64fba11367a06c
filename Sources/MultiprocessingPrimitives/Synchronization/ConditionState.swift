// SPDX-License-Identifier: Apache-2.0
//
// A condition: processes that hold a lock wait until another that holds it says that something has changed.
//
//   offset   size
//        0      4   what sleepers watch: SLEEPERS (bit 0), how many notifications there were (bits 1–31)
//        8      8   `next`: the ticket of the next waiter
//       16      8   `limit`: waiters with lower tickets may take a release
//       24      8   `all`: waiters with lower tickets are released
//       32      4   `releases`: how many waiters may go
//       36      4   `waiting`: how many waiters are neither released nor gone; too many when some were killed
//       40      4   `untold`: how many sleepers have still to be sent on; 0 but during a notification, or when one was cut short
//
// All but the first are read and written with the lock held, so they need no atomics. A notification waits for nobody, and wakes nobody either: whoever was woken would only find the lock held, and sleep
// again. It sends sleepers on to the lock's word (FUTEX_CMP_REQUEUE), where they wait like those who called `acquire`, and are woken one by one as it is given up. A thread that
// sleeps here names the lock as pending, so that one killed after such a wake-up passes it on, and a notifier killed with the lock leaves it to the kernel to wake the next.
//
// Waiters that wake up take a release each, and whoever finds none left sleeps on. A killed waiter takes none and is not missed. Tickets keep a release from going to somebody who began to
// wait after it; only releases that dead waiters left over may let a later one go for nothing, which every user of a condition must expect anyway.
//
// Each store leaves a state that a later notification can work with, since the notifier can be killed at any of them; the lock then tells the next owner.

internal import CMultiprocessing
internal import Synchronization

/// A view of a condition in shared memory, with its lock; it does not own the memory.
package struct ConditionState: @unchecked Sendable {
    // Safe because the watched word is atomic and the rest is accessed with the lock held; whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer
    private let lock: RobustLock

    /// The bytes a condition takes up, which is also its alignment.
    package static let size = 64

    private static let sleepers: UInt32 = 1
    private static let everybody = UInt32.max

    /// Creates a view of the condition at `base` that `lock` belongs to. Memory of zeros is a condition that nobody waits for.
    package init(_ base: UnsafeMutableRawPointer, lock: RobustLock) {
        self.base = base
        self.lock = lock
    }

    private var word: SharedWord { SharedWord(base, offset: 0) }

    private var next: UInt64 {
        get { (base + 8).load(as: UInt64.self) }
        nonmutating set { (base + 8).storeBytes(of: newValue, as: UInt64.self) }
    }

    private var limit: UInt64 {
        get { (base + 16).load(as: UInt64.self) }
        nonmutating set { (base + 16).storeBytes(of: newValue, as: UInt64.self) }
    }

    private var all: UInt64 {
        get { (base + 24).load(as: UInt64.self) }
        nonmutating set { (base + 24).storeBytes(of: newValue, as: UInt64.self) }
    }

    private var releases: UInt32 {
        get { (base + 32).load(as: UInt32.self) }
        nonmutating set { (base + 32).storeBytes(of: newValue, as: UInt32.self) }
    }

    private var waiting: UInt32 {
        get { (base + 36).load(as: UInt32.self) }
        nonmutating set { (base + 36).storeBytes(of: newValue, as: UInt32.self) }
    }

    private var untold: UInt32 {
        get { (base + 40).load(as: UInt32.self) }
        nonmutating set { (base + 40).storeBytes(of: newValue, as: UInt32.self) }
    }

    // MARK: - Notifying, with the lock held

    /// Lets at most `count` of those who wait go, as soon as the lock is free. Never blocks.
    package func notify(_ count: UInt32) {
        let outstanding = min(releases, waiting)
        let new = min(count, waiting - outstanding)
        guard new > 0 || untold > 0 else { return }
        // First, so that those whom a notifier killed from here on would leave asleep are told by the next one; never less than there were.
        let (sum, overflow) = untold.addingReportingOverflow(new)
        untold = overflow ? Self.everybody : sum
        limit = next
        releases = outstanding + new
        tell()
    }

    /// Lets everybody go who waits, as soon as the lock is free. Never blocks.
    package func notifyAll() {
        guard waiting > 0 || untold > 0 else { return }
        untold = Self.everybody
        all = next
        releases = 0
        waiting = 0
        tell()
    }

    /// Makes watchers look again, and sends on as many sleepers as have not been told.
    private func tell() {
        let value = word.add(2)
        defer { untold = 0 }
        guard value & Self.sleepers != 0 else { return }
        // Before anybody sleeps there: whoever gives the lock up, or the kernel at this thread's death, wakes the first of them.
        lock.expectWaiters()
        let count = Int32(clamping: untold)
        // Nobody falls asleep meanwhile: a sleeper sets the mark in the value of its own time, and the present one is later.
        guard let told = word.requeue(count, to: lock.word, while: value) else {
            word.wake(count)
            return
        }
        if told < count { _ = word.replace(value, with: value & ~Self.sleepers) }
    }

    /// How many wait; a snapshot, for descriptions.
    package var waiters: UInt32 { waiting }

    // MARK: - Waiting

    /// One wait, from `begin` to `finish`.
    package struct Wait: Sendable {
        let ticket: UInt64
        var seen: UInt32
    }

    /// Registers a waiter; with the lock held.
    package func begin() -> Wait {
        let ticket = next
        next = ticket + 1
        waiting += 1
        return Wait(ticket: ticket, seen: notifications)
    }

    /// The watched word without the mark; with the lock held nobody else changes it.
    private var notifications: UInt32 { word.load(.relaxed) & ~Self.sleepers }

    /// Sleeps until the next notification and, if that comes, until the lock seems free; without the lock, which the caller has to acquire next, whatever this returns.
    package func sleep(
        _ wait: Wait,
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil
    ) -> FutexWaitResult {
        if deadline.hasPassed { return .timedOut }
        if Spinning.wait(until: { notifications != wait.seen }) { return .lookAgain }
        let marked = wait.seen | Self.sleepers
        guard word.replace(wait.seen, with: marked) || word.load() == marked else { return .lookAgain }
        // The wake-up may be one for the lock. `RobustLock.acquire` names it too, and nothing when it is done.
        mp_robust_pending(mp_this_thread().pointee.robust, lock.base)
        // A release moves sleepers to the lock's word. They sleep there as others do: where tasks take the lock, not for long (RobustLock+Waiting.swift).
        let look = lock.isForTasks.load() == 0 ? deadline : min(deadline, RobustLock.nextLookBesideTasks)
        let result = word.wait(while: marked, until: look, cancellation: cancellation)
        return result == .timedOut && look < deadline ? .lookAgain : result
    }

    /// Returns whether `wait` is over because of a notification, and takes a release for it; with the lock held. If it is not the caller sleeps again or calls `abandon`.
    package func finish(_ wait: inout Wait) -> Bool {
        if wait.ticket < all { return true }
        guard releases > 0, wait.ticket < limit else {
            wait.seen = notifications
            return false
        }
        releases -= 1
        waiting -= min(waiting, 1)
        return true
    }

    /// Ends a wait that nobody notified; with the lock held.
    package func abandon(_ wait: Wait) {
        waiting -= min(waiting, 1)
    }
}
