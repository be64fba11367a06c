// SPDX-License-Identifier: Apache-2.0
//
// A flag that processes wait for.
//
//   offset   size
//        0      4   SET (bit 0), how many times it was cleared (bits 1–30), WAITERS (bit 31)
//
// Setting adds 1 to an even number and clearing to an odd one, so the word never is what it was while somebody slept: a waiter is released by a `set` even
// when a `clear` follows at once. Setting and waking are one step of the kernel (FUTEX_WAKE_OP): whoever sets may be killed before or after, never in between.

internal import Synchronization

/// A view of an event in shared memory; it does not own the memory.
package struct EventState: Sendable {
    private let word: SharedWord

    /// The bytes an event takes up, which is also its alignment.
    package static let size = 64

    private static let set: UInt32 = 1
    private static let waiters: UInt32 = 0x8000_0000

    /// Creates a view of the event at `base`. Memory of zeros is an event that is not set.
    package init(_ base: UnsafeMutableRawPointer) {
        word = SharedWord(base, offset: 0)
    }

    /// Whether the event is set.
    package var isSet: Bool { word.load() & Self.set != 0 }

    /// Sets the event and releases everybody who waits. Never blocks.
    package func set() {
        while true {
            let seen = word.load()
            guard seen & Self.set == 0 else { return }
            if seen & Self.waiters != 0 {
                word.setBitsAndWakeAll(Self.set)
                return
            }
            // A waiter that comes now finds the event set, or its mark makes this exchange fail.
            if word.replace(seen, with: seen | Self.set) { return }
        }
    }

    /// Makes the event unset. Never blocks.
    package func clear() {
        while true {
            let seen = word.load()
            guard seen & Self.set != 0 else { return }
            // Whoever left the mark is awake by now, or about to see that the word has changed.
            if word.replace(seen, with: (seen & ~Self.waiters &+ 1) & ~Self.waiters) { return }
        }
    }

    /// Waits until the event is set, or has been in the meantime; `timedOut` and `cancelled` otherwise.
    package func wait(until deadline: Deadline, cancellation: WaitCancellation? = nil) -> LockOutcome {
        let first = word.load()
        if first & Self.set != 0 { return .acquired }
        if deadline.hasPassed { return .timedOut }
        let generation = first & ~Self.waiters
        while true {
            if Spinning.wait(until: { word.load(.relaxed) & ~Self.waiters != generation }) { return wasSet() }
            let seen = word.load()
            guard seen & ~Self.waiters == generation else { return .acquired }
            if seen & Self.waiters == 0, !word.replace(seen, with: seen | Self.waiters) { continue }
            switch word.wait(while: generation | Self.waiters, until: deadline, cancellation: cancellation) {
            case .lookAgain:
                continue
            case .timedOut:
                return word.load() & ~Self.waiters == generation ? .timedOut : .acquired
            case .cancelled:
                return .cancelled
            }
        }
    }

    /// Returns that the wait is over, having seen what was done before the event was set.
    private func wasSet() -> LockOutcome {
        _ = word.load(.acquiring)
        return .acquired
    }
}
