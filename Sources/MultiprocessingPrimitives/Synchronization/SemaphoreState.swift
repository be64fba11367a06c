// SPDX-License-Identifier: Apache-2.0
//
// A counting semaphore in shared memory.
//
//   offset   size
//        0      4   what sleepers watch: WAITERS (bit 31), AVAILABLE (bit 30: the count is not 0); all other bits are 0
//        4      4   the count
//        8      4   the most it may be
//
// The first two are one 64-bit atomic, so that one exchange changes both. Since the watched half says only what a sleeper wants to know, it has no past to be confused by:
// if it is as it was, there is still nothing to take. Its low 30 bits are 0 for the kernel's sake: a thread that dies with the word named as pending (robust.h) then wakes one
// sleeper in its place, whether it was to take a permit or to wake somebody for one.
//
// WAITERS is cleared by whoever wakes and set again by whoever slept, since there may be others; the same is done in glibc's low-level lock.

internal import CMultiprocessing
internal import Synchronization

/// A view of a semaphore in shared memory; it does not own the memory.
package struct SemaphoreState: @unchecked Sendable {
    // Safe because the counting word is atomic, the maximum never changes, and whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer

    /// The bytes a semaphore takes up, which is also its alignment.
    package static let size = 64

    private static let waiters: UInt64 = 0x8000_0000
    private static let available: UInt64 = 0x4000_0000

    /// Creates a view of the semaphore at `base`.
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    /// Sets up a new semaphore with `value` permits of at most `maximum`.
    package func initialize(value: UInt32, maximum: UInt32) {
        (base + 8).storeBytes(of: maximum, as: UInt32.self)
        // Relaxed: nobody else knows the memory yet.
        word.pointee.store(Self.word(count: value, waiters: 0), ordering: .relaxed)
    }

    private var word: UnsafeMutablePointer<Atomic<UInt64>> { base.assumingMemoryBound(to: Atomic<UInt64>.self) }
    private var watched: SharedWord { SharedWord(base, offset: 0) }

    /// The most permits there may be.
    package var maximum: UInt32 { (base + 8).load(as: UInt32.self) }

    /// The number of permits that could be taken at this moment.
    package var value: UInt32 { UInt32(word.pointee.load(ordering: .acquiring) >> 32) }

    private static func word(count: UInt32, waiters: UInt64) -> UInt64 {
        UInt64(count) << 32 | (count > 0 ? available : 0) | waiters
    }

    // MARK: - Taking

    /// Takes a permit if there is one and returns whether there was.
    package func acquireIfAvailable() -> Bool {
        take(slept: false)
    }

    /// Takes a permit, waiting until `deadline` or `cancellation`.
    package func acquire(until deadline: Deadline, cancellation: WaitCancellation? = nil) -> LockOutcome {
        if take(slept: false) { return .acquired }
        if deadline.hasPassed { return .timedOut }
        guard let list = mp_this_thread().pointee.robust else { return .timedOut }
        // From here on this thread may consume a wake-up.
        mp_robust_pending(list, base)
        defer { mp_robust_pending(list, nil) }
        var slept = false
        while true {
            // Relaxed: `take` looks again.
            _ = Spinning.wait { word.pointee.load(ordering: .relaxed) & Self.available != 0 }
            if take(slept: slept) { return .acquired }
            // Relaxed: the kernel compares the word again before it lets this thread sleep.
            let seen = word.pointee.load(ordering: .relaxed)
            guard seen & Self.available == 0 else { continue }
            if seen & Self.waiters == 0, !replace(seen, with: seen | Self.waiters) { continue }
            switch watched.wait(while: UInt32(Self.waiters), until: deadline, cancellation: cancellation) {
            case .lookAgain:
                slept = true
            case .timedOut:
                return take(slept: true) ? .acquired : .timedOut
            case .cancelled:
                // A wake-up may have come at the same time: it belongs to somebody who still wants a permit. Also when there is none by now: with the wake-up the mark went, and whoever sleeps on has to
                // set it again.
                watched.wake(1)
                return .cancelled
            }
        }
    }

    /// Takes a permit if there is one.
    ///
    /// - Parameter slept: Others may be asleep without a mark in the word: whoever was woken keeps the mark, and wakes the next one when there is more to take.
    private func take(slept: Bool) -> Bool {
        while true {
            // Relaxed: the exchange acquires.
            let seen = word.pointee.load(ordering: .relaxed)
            let count = UInt32(seen >> 32)
            guard count > 0 else { return false }
            let marks = slept ? Self.waiters : seen & Self.waiters
            guard replace(seen, with: Self.word(count: count - 1, waiters: marks)) else { continue }
            if slept, count > 1 { watched.wake(1) }
            return true
        }
    }

    // MARK: - Giving

    /// Gives `count` permits, and returns whether the maximum allows them; if not, nothing is changed.
    package func release(_ count: UInt32 = 1) -> Bool {
        while true {
            // Relaxed: the exchange releases.
            let seen = word.pointee.load(ordering: .relaxed)
            let (sum, overflow) = UInt32(seen >> 32).addingReportingOverflow(count)
            guard !overflow, sum <= maximum else { return false }
            let desired = Self.word(count: sum, waiters: 0)
            guard seen & Self.waiters != 0 else {
                if replace(seen, with: desired) { return true }
                continue
            }
            if replaceAndWake(seen, with: desired, count: count) { return true }
        }
    }

    /// Replaces the word and wakes as many sleepers as there are new permits; killed in between, this thread leaves the first wake to the kernel and the others to the woken.
    private func replaceAndWake(_ seen: UInt64, with desired: UInt64, count: UInt32) -> Bool {
        guard let list = mp_this_thread().pointee.robust else { return false }
        mp_robust_pending(list, base)
        defer { mp_robust_pending(list, nil) }
        guard replace(seen, with: desired) else { return false }
        watched.wake(Int32(clamping: count))
        return true
    }

    private func replace(_ expected: UInt64, with desired: UInt64) -> Bool {
        // Acquiring and releasing: what was done before a permit was given is seen by whoever takes it.
        word.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing).exchanged
    }
}
