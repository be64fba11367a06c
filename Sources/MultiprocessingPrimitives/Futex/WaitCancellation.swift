// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Synchronization

/// Ends one thread's wait from another thread of this process.
///
/// It is a futex word of its own, on which the thread waits together with the word it is interested in: a cancellation that comes just before the thread falls asleep
/// is seen like one that comes after.
package final class WaitCancellation: Sendable {
    /// 1 once cancelled.
    private let word: SharedWord

    /// Creates a cancellation that nobody has asked for yet.
    package init() {
        word = SharedWord(.allocate(capacity: 1))
        word.initialize(0)
    }

    /// Whether `cancel` was called.
    package var isCancelled: Bool {
        // Pairs with the release in `cancel`.
        word.load(.acquiring) != 0
    }

    /// Ends the wait, or the next one. Never blocks.
    package func cancel() {
        word.exchange(1)
        word.wake(Int32.max)
    }

    /// The word with the value it has as long as nobody cancels.
    var futex: mp_futex {
        mp_futex(word: word.raw, expected: 0)
    }

    deinit {
        word.deallocate()
    }
}
