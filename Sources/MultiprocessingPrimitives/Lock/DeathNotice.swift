// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// A word in shared memory that tells one sleeper when the thread that posted it dies.
///
/// Whoever is about to do something that sleepers on another word depend on posts the notice first, and withdraws it afterwards; the sleepers wait on both words. Posting
/// and withdrawing wake nobody; only the kernel does, at the death of the thread (see RobustLock.swift for the layout, which it shares).
struct DeathNotice: @unchecked Sendable {
    // Safe because the word is atomic, and only the thread that posts the notice changes its links.
    private let base: UnsafeMutableRawPointer

    /// Creates a view of the notice at `base`, `MP_ROBUST_SIZE` bytes of zeros at first, of which those between word and links (robust.h) may be another's.
    init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    /// The word to wait on; what it is does not matter, only that the kernel wakes a sleeper on it.
    var word: SharedWord { SharedWord(base, offset: 0) }

    /// Whether the thread that posted the notice died with it.
    var isLeftBehind: Bool { word.load() & RobustLock.ownerDied != 0 }

    /// Posts the notice for the calling thread. Only one thread may do so at a time.
    func post() {
        guard let list = mp_this_thread().pointee.robust else { return }
        mp_robust_pending(list, base)
        enter()
        mp_robust_pending(list, nil)
    }

    /// Posts the notice when something else is named as pending, by whose word it is known then what this thread died in.
    func enter() {
        guard let thread = mp_this_thread(), let list = thread.pointee.robust else { return }
        // The mark makes the kernel wake a sleeper; nobody else acts on it.
        word.exchange(thread.pointee.id | RobustLock.waiters)
        mp_robust_link(list, base)
    }

    /// Withdraws the notice that the calling thread posted.
    func withdraw() {
        guard let list = mp_this_thread().pointee.robust else { return }
        mp_robust_pending(list, base)
        leave()
        mp_robust_pending(list, nil)
    }

    /// Withdraws the notice as `enter` posted it.
    func leave() {
        mp_robust_unlink(base)
        word.exchange(0)
    }

    /// Clears a notice that was left behind.
    func clear() {
        word.exchange(0)
    }
}
