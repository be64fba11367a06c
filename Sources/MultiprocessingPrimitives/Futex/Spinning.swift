// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Synchronization

/// How long a thread watches a word before it asks the kernel to put it to sleep.
///
/// A sleeping thread takes 5 to 25 microseconds to wake, a watching one a tenth of one. Watching pays only when whoever is waited for runs at the same time, that is
/// with at least two processors to run on; with one it would only keep the other from running.
package enum Spinning {
    /// The longest time a waiter watches, in looks; some microseconds in all.
    package static let limit = 40

    /// The number of processors seen last, with the number of waits since then in the upper bits.
    private static let processors = Atomic<UInt32>(0)

    /// Whether there is a second processor for this process.
    ///
    /// The affinity mask can change at any time and asking for it costs a system call, so the answer is refreshed every 64 waits.
    package static var pays: Bool {
        // Relaxed: the two halves are one word, and a lost update costs one system call.
        var state = processors.load(ordering: .relaxed)
        if state & 0xffff == 0 || state >> 16 >= 64 { state = UInt32(clamping: min(mp_affinity_count(), 0xffff)) }
        processors.store(state &+ 0x1_0000, ordering: .relaxed)
        return state & 0xffff > 1
    }

    /// Looks again and again, ever less often, until `condition` holds or the time for that is over; returns whether it held.
    @inline(__always)
    package static func wait(until condition: () -> Bool) -> Bool {
        guard pays else { return false }
        var pauses = 1
        for _ in 0..<limit {
            if condition() { return true }
            for _ in 0..<pauses { mp_pause() }
            if pauses < 8 { pauses += 1 }
        }
        return false
    }
}
