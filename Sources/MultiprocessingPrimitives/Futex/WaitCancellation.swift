// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Ends one thread's wait from another thread of this process.
///
/// It is a futex word of its own, on which the thread waits together with the word it is interested in: a cancellation that comes just before the thread falls asleep
/// is seen like one that comes after.
package final class WaitCancellation: Sendable {
    /// 1 once cancelled.
    private let word: SharedWord
    /// Whose word it is, if not this object's.
    private let first: WaitCancellation?
    /// Another one that ends the same waits.
    private let second: WaitCancellation?
    /// Whether a wait has to end at once also where the kernel cannot sleep on two words (`FutexSet`).
    let isUrgent: Bool

    /// Creates a cancellation that nobody has asked for yet.
    ///
    /// - Parameter isUrgent: Whether waits have to end at once on kernels before 5.16 too, which then must be interrupted every few milliseconds; if not, they end within a second there.
    package init(isUrgent: Bool = true) {
        word = SharedWord(.allocate(capacity: 1))
        word.initialize(0)
        (first, second) = (nil, nil)
        self.isUrgent = isUrgent
    }

    /// Creates one that is asked for when either of the two is.
    package init(joining first: WaitCancellation, _ second: WaitCancellation) {
        word = first.word
        self.first = first
        self.second = second
        isUrgent = first.isUrgent || second.isUrgent
    }

    /// Whether `cancel` was called.
    package var isCancelled: Bool {
        // Pairs with the release in `cancel`.
        word.load(.acquiring) != 0 || second?.isCancelled == true
    }

    /// Ends the wait, or the next one. Never blocks.
    package func cancel() {
        word.exchange(1)
        word.wake(Int32.max)
    }

    /// Adds the words, with the value they have as long as nobody cancels.
    func add(to futexes: inout FutexSet) {
        futexes.add(word, is: 0)
        second?.add(to: &futexes)
    }

    deinit {
        if first == nil { word.deallocate() }
    }
}
