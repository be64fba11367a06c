// SPDX-License-Identifier: Apache-2.0
//
// A lock in shared memory that survives its holder.
//
//   offset   size
//        0      4   the futex word: holder's thread id (bits 0–29), OWNER_DIED (bit 30), WAITERS (bit 31); 0: free
//        4      4   process id of the holder; 0: none, or killed while it took the lock; negative: nobody, and the thread that passed the lock on
//        8      8   token of the task that holds it; 0: a thread does
//       16      4   notice (DeathNotice.swift) of a thread that is making it over to the holder of its process' tasks (ProcessHolder.swift)
//       20      4   how many times the holder has acquired it beyond the first
//       24     16   links of the kernel's robust list (robust.h), meaningful in the holder's process only
//       40     16   links of the notice
//       56      4   thread id of the one to whom it is being made over
//       60      4   not 0: tasks take it
//
// The word follows the kernel's robust-futex protocol (Documentation/locking/robust-futexes.rst), as glibc's robust mutexes do, with three differences: waiters watch
// the word before they sleep; a wait can be cancelled; and a lock can be held by a task, which has no thread (ProcessHolder.swift). A thread that may be about to
// consume a wake-up names the word as pending, so that the kernel passes the wake-up on if the thread is killed (kernel commit ca16d5bee598). The word has WAITERS
// then and no holder, as other words of ours that are slept on; kernels without commit 90d758896787 (6.2, and older stable series since the end of 2022) look away from such words, so that a kill at just the
// wrong instant may leave somebody asleep there.
//
// WAITERS is set whenever somebody sleeps. It stays when the lock is passed on, and goes when whoever passed it on found nobody asleep. glibc takes it off before it wakes, and whoever wakes sets it
// again; but when that one is killed first, and another took the lock meanwhile, the kernel sees an owner and wakes nobody, and the owner sees no mark.

internal import CMultiprocessing
internal import Synchronization

/// Who is to hold a lock.
package enum LockHolder: Hashable, Sendable {
    /// The calling thread. The lock passes on when that thread ends.
    case thread
    /// A task of this process, by its token (not 0). The lock passes on when the process ends.
    case task(UInt64)
}

/// How an attempt to take a lock ended.
package enum LockOutcome: Hashable, Sendable {
    /// The caller holds it.
    case acquired
    /// The caller holds it, and the process (0: unknown) that held it before died with it: what the lock protects may be half-changed.
    case ownerDied(Int32)
    /// The deadline passed.
    case timedOut
    /// The wait was cancelled.
    case cancelled
    /// The caller holds it already and would wait for itself for ever.
    case heldByCaller
}

/// A view of a lock in shared memory; it does not own the memory.
package struct RobustLock: @unchecked Sendable {
    // Safe because the word is atomic, the other fields are written by the holder only, and whoever makes the view keeps the memory mapped.
    package let base: UnsafeMutableRawPointer

    /// The bytes a lock takes up, which is also its alignment.
    package static let size = 64

    static let threadMask: UInt32 = 0x3fff_ffff
    static let ownerDied: UInt32 = 0x4000_0000
    static let waiters: UInt32 = 0x8000_0000

    /// Creates a view of the lock at `base`. Memory of zeros is a free lock.
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    // MARK: - Fields

    var word: SharedWord { SharedWord(base, offset: 0) }

    @inline(__always)
    private var atomicWord: UnsafeMutablePointer<Atomic<UInt32>> { base.assumingMemoryBound(to: Atomic<UInt32>.self) }

    /// The word with `ownerProcess` in the upper half.
    var wordAndOwner: UnsafeMutablePointer<Atomic<UInt64>> { base.assumingMemoryBound(to: Atomic<UInt64>.self) }

    /// The process of the holder; 0 when the lock is free.
    @inline(__always)
    var ownerProcess: UnsafeMutablePointer<Atomic<Int32>> { (base + 4).assumingMemoryBound(to: Atomic<Int32>.self) }

    /// The token of the task that holds the lock.
    @inline(__always)
    var ownerTask: UnsafeMutablePointer<Atomic<UInt64>> { (base + 8).assumingMemoryBound(to: Atomic<UInt64>.self) }

    /// How many times the holder acquired the lock beyond the first; only the holder touches it.
    package var recursion: UInt32 {
        get { (base + 20).load(as: UInt32.self) }
        nonmutating set { (base + 20).storeBytes(of: newValue, as: UInt32.self) }
    }

    /// Posted by a thread that is making the lock over to `heir`, which alone changes it.
    var transfer: DeathNotice { DeathNotice(base + 16) }

    /// The thread in whose name a task is about to hold the lock.
    var heir: SharedWord { SharedWord(base, offset: 56) }

    /// Whether tasks take it, so that who waits has to look for what they leave behind.
    var isForTasks: SharedWord { SharedWord(base, offset: 60) }

    // MARK: - The uncontended case

    /// Takes the lock for this thread if it is free and nobody waits for it or died with it.
    @inline(__always)
    package func acquireIfFree() -> Bool {
        mp_robust_acquire_if_free(base)
    }

    /// Gives the lock up when this thread holds it and acquired it once, and returns whether it did.
    ///
    /// - Parameter unlearned: A process that died with the lock has still to be told of: the next acquirer is.
    @inline(__always)
    package func releaseIfHeldByThread(unlearned: Bool = false) -> Bool {
        if !unlearned, mp_robust_release_if_unwaited(base) { return true }
        guard let thread = mp_this_thread(), let list = thread.pointee.robust else { return false }
        // Relaxed: the value can only be this thread's id if this thread wrote it.
        guard atomicWord.pointee.load(ordering: .relaxed) & Self.threadMask == thread.pointee.id, recursion == 0
        else { return false }
        mp_robust_pending(list, base)
        mp_robust_unlink(base)
        ownerProcess.pointee.store(0, ordering: .relaxed)
        // Releasing: pairs with the acquiring exchanges of the next holder.
        let isPassedOn = !atomicWord.pointee.compareExchange(
            expected: thread.pointee.id,
            desired: unlearned ? Self.ownerDied : 0,
            ordering: .releasing
        ).exchanged
        if isPassedOn { passOn(by: thread.pointee.id, unlearned: unlearned) }
        mp_robust_pending(list, nil)
        return true
    }

    // MARK: - Questions

    /// Whether anybody holds the lock, in sequentially consistent order.
    package var isLocked: Bool {
        atomicWord.pointee.load(ordering: .sequentiallyConsistent) & Self.threadMask != 0
    }

    /// Whether anybody holds the lock but the thread whose id `other` is.
    package func isLocked(exceptBy other: SharedWord) -> Bool {
        // The holder first, in sequentially consistent order: the other word is his, and 0 whenever he gives the lock up.
        let holder = atomicWord.pointee.load(ordering: .sequentiallyConsistent) & Self.threadMask
        return holder != 0 && holder != other.loadInOrder()
    }

    /// Whether somebody may be asleep until the lock is free, for tests.
    package var hasWaiters: Bool {
        atomicWord.pointee.load(ordering: .relaxed) & Self.waiters != 0
    }

    /// Whether `holder`, which is the calling thread or task, holds the lock.
    package func isHeld(by holder: LockHolder) -> Bool {
        let thread = mp_this_thread()?.pointee
        let owner = atomicWord.pointee.load(ordering: .relaxed) & Self.threadMask
        switch holder {
        case .thread:
            return owner == thread?.id
        case .task(let token):
            // A token is one of this process: the process is written last, so that both can only match when this process wrote both.
            return owner != 0 && ownerProcess.pointee.load(ordering: .acquiring) == thread?.process
                && ownerTask.pointee.load(ordering: .relaxed) == token
        }
    }

    /// Marks the lock as waited for, so that whoever gives it up wakes somebody; the caller holds it, or sees to it that somebody does.
    func expectWaiters() {
        word.setBits(Self.waiters)
    }

    /// The process and thread that hold the lock at this moment, for descriptions; nil when it is free. The thread is 0 when a task holds it.
    package var owner: (process: Int32, thread: UInt32)? {
        let owner = atomicWord.pointee.load(ordering: .relaxed) & Self.threadMask
        guard owner != 0 else { return nil }
        let isTask = ownerTask.pointee.load(ordering: .relaxed) != 0
        return (ownerProcess.pointee.load(ordering: .relaxed), isTask ? 0 : owner)
    }

    /// Whether some thread or task of this process holds the lock, so that this process's list leads through its memory, which must stay mapped.
    package var isHeldInThisProcess: Bool {
        isLocked && ownerProcess.pointee.load(ordering: .relaxed) == mp_this_thread()?.pointee.process
    }
}
