// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// The number of messages at this moment.
    package var count: Int {
        // The head first: it never passes a tail that is loaded later. Acquiring keeps the loads in that order.
        let head = RingPosition(word: head.pointee.load(ordering: .acquiring))
        return RingPosition(word: tail.pointee.load(ordering: .acquiring)).count(since: head)
    }

    /// Whether there is no message at this moment.
    @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// Whether no more messages are accepted.
    @inline(__always)
    package var isShut: Bool {
        // Acquiring, here and below: what was done before the end is seen.
        word(Offset.state).pointee.load(ordering: .acquiring) & Self.shut != 0
    }

    /// Whether consumers have been told that no more messages come: later than producers.
    @inline(__always)
    package var hasEnded: Bool { word(Offset.state).pointee.load(ordering: .acquiring) & Self.ended != 0 }

    /// Whether no more messages are given out.
    @inline(__always)
    package var isClosed: Bool { word(Offset.state).pointee.load(ordering: .acquiring) & Self.closed != 0 }

    /// Whether the other side is known to be gone.
    @inline(__always)
    package var isAbandoned: Bool {
        // Acquiring: pairs with the release in `abandon`.
        if isAbandonedHere.load(ordering: .acquiring) { return true }
        let departed = word(Offset.departures).pointee.load(ordering: .acquiring)
        return departed == seenDepartures.load(ordering: .relaxed) ? false : lookAtPeer()
    }

    /// Asks the kernel whether anybody has the other end of the socket, after some handle was closed.
    @inline(never)
    private func lookAtPeer() -> Bool {
        seenDepartures.store(departures.load(), ordering: .relaxed)  // at worst a look too many
        guard isPeerGone else { return false }
        isAbandonedHere.store(true, ordering: .releasing)
        return true
    }

    /// Whether nobody has the other end of the socket, asked of the kernel.
    package var isPeerGone: Bool {
        guard peer >= 0 else { return false }
        var entry = pollfd(fd: peer, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
    }

    /// The largest message in bytes.
    package var largestMessage: Int { rules.largestRecord * RingPosition.unit - 64 }
}
