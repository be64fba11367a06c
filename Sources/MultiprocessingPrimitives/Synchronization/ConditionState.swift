// SPDX-License-Identifier: Apache-2.0
//
// A condition: processes that hold a lock wait until another that holds it says that something has changed.
//
//   offset   size
//        0      4   what sleepers watch: how many notifications there were
//        8      8   `next`: the ticket of the next waiter
//       16      8   `limit`: waiters with lower tickets may take a release
//       24      8   `all`: waiters with lower tickets are released
//       32      4   `releases`: how many waiters may go
//       36      4   `waiting`: how many waiters are neither released nor gone; too many when some were killed
//
// All but the first are read and written with the lock held, so they need no atomics, and a notification is a few stores and a wake. It waits for nobody: the waiters that
// wake up take a release each, and whoever finds none left sleeps on. A killed waiter takes none and is not missed. Tickets keep a release from going to somebody who began to
// wait after it; only releases that dead waiters left over may let a later one go for nothing, which every user of a condition must expect anyway.
//
// Each store leaves a state that a later notification can work with, since the notifier can be killed at any of them; the lock then tells the next owner.

internal import Synchronization

/// A view of a condition in shared memory; it does not own the memory.
package struct ConditionState: @unchecked Sendable {
    // Safe because the watched word is atomic and the rest is accessed with the lock held; whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer

    /// The bytes a condition takes up, which is also its alignment.
    package static let size = 64

    /// Creates a view of the condition at `base`. Memory of zeros is a condition that nobody waits for.
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
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

    // MARK: - Notifying, with the lock held

    /// Lets at most `count` of those who wait go. Never blocks.
    package func notify(_ count: UInt32) {
        let outstanding = min(releases, waiting)
        guard waiting > 0, count > 0 else { return }
        releases = outstanding + min(count, waiting - outstanding)
        limit = next
        word.add(1)
        // Those of earlier notifications too: if a notifier died before its wake, this one makes up for it.
        word.wake(Int32(clamping: releases))
    }

    /// Lets everybody go who waits. Never blocks.
    package func notifyAll() {
        guard waiting > 0 else { return }
        all = next
        releases = 0
        waiting = 0
        word.add(1)
        word.wake(Int32.max)
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
        return Wait(ticket: ticket, seen: word.load(.relaxed))
    }

    /// Sleeps until the next notification; without the lock.
    package func sleep(_ wait: Wait, until deadline: Deadline, cancellation: WaitCancellation? = nil) -> FutexWaitResult
    {
        if deadline.hasPassed { return .timedOut }
        if Spinning.wait(until: { word.load(.relaxed) != wait.seen }) { return .lookAgain }
        return word.wait(while: wait.seen, until: deadline, cancellation: cancellation)
    }

    /// Returns whether `wait` is over because of a notification, and takes a release for it; with the lock held. If it is not the caller sleeps again or calls `abandon`.
    package func finish(_ wait: inout Wait) -> Bool {
        if wait.ticket < all { return true }
        guard releases > 0, wait.ticket < limit else {
            wait.seen = word.load(.relaxed)
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
