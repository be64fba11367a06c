// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Synchronization

/// How long a thread watches a word before it asks the kernel to put it to sleep.
///
/// A sleeping thread takes 5 to 60 microseconds to wake, a watching one a tenth of one. Watching pays only when whoever is waited for runs at the same time, that is
/// with at least two processors to run on; with one it would only keep the other from running.
///
/// How long is learnt: watching that was worth it makes this process watch longer, up to about as long as a wake-up takes, watching in vain makes it watch less, down to almost not at all.
///
/// Two processes that put each other to sleep would never find out that they need not: each answer then takes two wake-ups, far more than either watches. So now and then a wait is watched for longer
/// than the slowest wake-up (a probe): it meets the answer, the next question meets the other one watching, and so on. Probes that find nothing become rarer, down to one wait in 64, which costs each
/// wait a microsecond or two.
package enum Spinning {
    /// The most and the fewest looks that are learnt, and those of a probe: 50, 1 and 120 microseconds.
    private static var longest: UInt32 { 50 * looksPerMicrosecond }
    private static var shortest: UInt32 { looksPerMicrosecond }
    private static var probe: UInt32 { 120 * looksPerMicrosecond }

    /// The most pauses between two looks.
    @inline(__always)
    package static var longestPause: UInt32 { 8 }

    /// How many looks with the longest pause make a microsecond, at least one: a pause takes 40 to 140 cycles, whichever processor it is.
    private static let looksPerMicrosecond: UInt32 = {
        let pauses: Int64 = 128
        let start = mp_now()
        for _ in 0..<pauses { mp_pause() }
        let nanoseconds = max(mp_now() - start, 1)
        return UInt32(clamping: max(1, min(16, pauses * 1000 / nanoseconds / Int64(longestPause))))
    }()

    /// How often this process looks at present; 0: it has not waited yet.
    private static let looks = Atomic<UInt32>(0)

    /// How many waits lie between probes: 16 to 64.
    private static let probeInterval = Atomic<UInt32>(16)

    /// The number of processors seen last, with the number of waits since then in the upper bits.
    private static let processors = Atomic<UInt32>(0)

    /// How many waits there were since the last probe.
    private static let waits = Atomic<UInt32>(0)

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
        var pauses: UInt32 = 1
        for _ in 0..<limit {
            for _ in 0..<pauses { mp_pause() }
            if condition() {
                learn(limit, success: true)
                return true
            }
            if pauses < longestPause { pauses += 1 }
        }
        learn(limit, success: false)
        return false
    }

    /// Whether who is waited for can run at the same time.
    ///
    /// The affinity mask can change at any time and asking for it costs a system call, so the answer is refreshed every 64 waits.
    package static func isPossible() -> Bool {
        // Relaxed, here and below: each is one word that stands alone, and a lost update costs a moment of watching or a system call.
        var state = processors.load(ordering: .relaxed)
        if state & 0xffff == 0 || state >> 16 >= 64 { state = UInt32(clamping: min(mp_affinity_count(), 0xffff)) }
        processors.store(state &+ 0x1_0000, ordering: .relaxed)
        return state & 0xffff > 1 && !isDisabled.load(ordering: .relaxed)
    }

    /// The number of looks for this wait; 0 without a second processor.
    package static func allowance() -> UInt32 {
        guard isPossible() else { return 0 }
        let sinceProbe = waits.load(ordering: .relaxed) &+ 1
        if sinceProbe >= probeInterval.load(ordering: .relaxed) {
            waits.store(0, ordering: .relaxed)
            return probe
        }
        waits.store(sinceProbe, ordering: .relaxed)
        let learnt = looks.load(ordering: .relaxed)
        return learnt > 0 ? learnt : longest / 6
    }

    /// Moves the number of looks a quarter of the way up or down, at least by one.
    ///
    /// - Parameter limit: What `allowance` returned for the wait that this was learnt from.
    package static func learn(_ limit: UInt32, success: Bool) {
        if success {
            // An answer may be just about to come within what is watched: it does not take a probe to see the next one.
            probeInterval.store(16, ordering: .relaxed)
        } else if limit >= probe {
            probeInterval.store(min(2 * probeInterval.load(ordering: .relaxed), 64), ordering: .relaxed)
        }
        let seen = max(looks.load(ordering: .relaxed), shortest)
        let next = success ? seen + (max(longest, seen) - seen + 3) / 4 : max(shortest, seen - (seen + 3) / 4)
        looks.store(next, ordering: .relaxed)
    }
}
