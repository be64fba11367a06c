// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// A word in shared memory that tells one sleeper when the thread that posted it dies.
///
/// Whoever is about to do something that sleepers on another word depend on posts the notice first, and withdraws it afterwards; the sleepers wait on both words. Posting
/// and withdrawing wake nobody; only the kernel does, at the death of the thread (see RobustLock.swift for the layout, which it shares).
struct DeathNotice: Sendable {
    private let block: RobustLock

    /// Creates a view of the notice at `base`, `RobustLock.size` bytes of zeros at first.
    init(_ base: UnsafeMutableRawPointer) {
        block = RobustLock(base)
    }

    /// The word to wait on; what it is does not matter, only that the kernel wakes a sleeper on it.
    var word: SharedWord { block.word }

    /// Whether the thread that posted the notice died with it.
    var isLeftBehind: Bool { word.load() & RobustLock.ownerDied != 0 }

    /// Posts the notice for the calling thread. Only one thread may do so at a time.
    func post() {
        guard let thread = mp_this_thread(), let list = thread.pointee.robust else { return }
        mp_robust_pending(list, block.base)
        // The mark makes the kernel wake a sleeper; nobody else acts on it.
        word.exchange(thread.pointee.id | RobustLock.waiters)
        mp_robust_link(list, block.base)
        mp_robust_pending(list, nil)
    }

    /// Withdraws the notice that the calling thread posted.
    func withdraw() {
        guard let list = mp_this_thread().pointee.robust else { return }
        mp_robust_pending(list, block.base)
        mp_robust_unlink(block.base)
        word.exchange(0)
        mp_robust_pending(list, nil)
    }

    /// Clears a notice that was left behind.
    func clear() {
        word.exchange(0)
    }
}
