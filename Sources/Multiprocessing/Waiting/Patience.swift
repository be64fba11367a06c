// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// How long a thread that waits for a child looks again and again, before it sleeps.
///
/// To wake a sleeper on an idle processor takes 20 to 100 microseconds, half as long as a short child lives. So it is worth while to look for as long as such a child takes, where there is
/// a second processor for it. Where waits turn out longer it looks less and less, down to not at all; one that turns out short, although it was slept through, begins it anew.
package final class Patience: Sendable {
    /// The most, in nanoseconds: as long as a child takes that does nothing.
    package static let longest: Int64 = 400_000
    /// Less than this is not worth the trouble.
    private static let shortest: Int64 = 10_000

    /// That of those who wait for children.
    static let withChildren = Patience()

    // Relaxed, both: each stands alone, and a lost update costs a moment of looking, or a sleep.
    private let learnt = Atomic<Int64>(longest)
    /// Whether a thread looks at present. A second one would take the processor from a child.
    private let isBusy = Atomic<Bool>(false)

    /// Creates a patience that has learnt nothing.
    package init() {}

    /// How long the next wait is looked through, in nanoseconds.
    package var time: Int64 { learnt.load(ordering: .relaxed) }

    /// Looks until `condition` holds, or until it is better to sleep; in any case not beyond `deadline`.
    func look(until deadline: Deadline, _ condition: () -> Bool) {
        let time = time
        guard !condition(), time > 0, !deadline.hasPassed, Spinning.isPossible() else { return }
        guard !isBusy.exchange(true, ordering: .relaxed) else { return }
        defer { isBusy.store(false, ordering: .relaxed) }
        let end = min(mp_now() + time, deadline.nanoseconds)
        repeat {
            // The child may have been put on this very processor, even while another one is idle: then it gets it now, and each look costs whoever else is there nothing.
            sched_yield()
            if condition() { return }
        } while mp_now() < end
    }

    /// Learns from a wait that took so many nanoseconds: up to when what was waited for happened, which may be long before a sleeper learnt of it.
    package func learn(from duration: Int64) {
        let half = time / 2
        let next = duration < Self.longest ? Self.longest : half < Self.shortest ? 0 : half
        learnt.store(next, ordering: .relaxed)
    }
}
