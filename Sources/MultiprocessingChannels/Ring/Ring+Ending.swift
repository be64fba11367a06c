// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// Says to all processes that a handle was closed here, after its socket was.
    package func depart() {
        departures.add(1)
        wakeEverybody()
    }

    /// Accepts no more messages, and with `now` gives none out any more; wakes everybody who waits. Messages that are there can still be taken.
    package func shutDown(now: Bool = false) {
        let bits = now ? Self.shut | Self.closed : Self.shut
        while true {
            let seen = state.load()
            if seen & bits == bits || state.replace(seen, with: seen | bits) { break }
        }
        wakeEverybody()
    }

    /// Notes that the other side is gone, and wakes those of this process who wait for it.
    package func abandon() {
        abandonHere()
        wakeEverybody()
    }

    /// Notes that the other side is gone, without waking anybody.
    package func abandonHere() {
        isAbandonedHere.store(true, ordering: .releasing)
    }

    /// Lets everybody look again who waits.
    package func wakeEverybody() {
        for word in [items, space] {
            word.exchange(0)
            word.wake(Int32.max)
        }
        ring()
    }
}
