// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Synchronization

/// How long a thread watches a word before it asks the kernel to put it to sleep.
///
/// A sleeping thread takes 5 to 25 microseconds to wake, a watching one a tenth of one. Watching pays only when whoever is waited for runs at the same time, that is
/// with at least two processors to run on; with one it would only keep the other from running.
///
/// How long is learnt: watching that was worth it makes this process watch longer, up to about as long as a wake-up takes, watching in vain makes it watch less, down to almost not at all. Every
/// sixteenth wait is watched for the full time all the same, since two processes that put each other to sleep would otherwise never find out that they need not.
package enum Spinning {
    /// The most and the fewest looks before sleep: about 25 and 1 microseconds.
    private static let longest: UInt32 = 120
    private static let shortest: UInt32 = 8

    /// How often this process looks at present.
    private static let looks = Atomic<UInt32>(40)

    /// The number of processors seen last, with the number of waits since then in the upper bits.
    private static let processors = Atomic<UInt32>(0)

    /// Whether processes forked from here on sleep at once, for tests of what happens to sleepers.
    package static func disable() {
        isDisabled.store(true, ordering: .relaxed)
    }

    private static let isDisabled = Atomic<Bool>(false)

    /// Looks again and again, ever less often, until `condition` holds or the time for that is over; returns whether it held.
    @inline(__always)
    package static func wait(until condition: () -> Bool) -> Bool {
        if condition() { return true }
        let limit = allowance()
        guard limit > 0 else { return false }
        var pauses = 1
        for _ in 0..<limit {
            for _ in 0..<pauses { mp_pause() }
            if condition() {
                learn(success: true)
                return true
            }
            if pauses < 8 { pauses += 1 }
        }
        learn(success: false)
        return false
    }

    /// The number of looks for this wait; 0 without a second processor.
    ///
    /// The affinity mask can change at any time and asking for it costs a system call, so the answer is refreshed every 64 waits.
    package static func allowance() -> UInt32 {
        // Relaxed, here and below: each is one word that stands alone, and a lost update costs a moment of watching or a system call.
        var state = processors.load(ordering: .relaxed)
        if state & 0xffff == 0 || state >> 16 >= 64 { state = UInt32(clamping: min(mp_affinity_count(), 0xffff)) }
        processors.store(state &+ 0x1_0000, ordering: .relaxed)
        guard state & 0xffff > 1, !isDisabled.load(ordering: .relaxed) else { return 0 }
        return state >> 16 & 15 == 15 ? longest : looks.load(ordering: .relaxed)
    }

    /// Moves the number of looks a quarter of the way up or down.
    package static func learn(success: Bool) {
        let seen = looks.load(ordering: .relaxed)
        looks.store(success ? seen + (longest - seen + 3) / 4 : max(shortest, seen - seen / 4), ordering: .relaxed)
    }
}
