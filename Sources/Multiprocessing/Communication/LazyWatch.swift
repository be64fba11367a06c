// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

/// A watch of this process's reactor, made at first need. In a forked child it counts as not made.
final class LazyWatch: Sendable {
    private struct Made {
        let token: Reactor.Token
        let reactor: Reactor
    }

    private final class Place: Sendable {
        let made = PlainMutex<Made?>(nil)
    }

    private let place = ForkLocal { Place() }

    /// The number of the process, by forks, in which the watch was made, plus 1.
    private let madeIn = Atomic<UInt32>(0)

    /// Whether it was made in this process.
    @inline(__always)
    var isMade: Bool {
        // Relaxed: at worst `make` is called once more.
        madeIn.load(ordering: .relaxed) == mp_fork_generation() &+ 1
    }

    /// Makes the watch if there is none.
    func make(_ descriptor: Int32, for interest: Reactor.Interest, _ handler: @escaping Reactor.Handler) throws {
        if isMade { return }
        let reactor = try Runtime.shared().reactor
        try place.value.made.withLock { made in
            guard made == nil else { return }
            made = Made(token: try reactor.watch(descriptor, for: interest, handler), reactor: reactor)
            madeIn.store(mp_fork_generation() &+ 1, ordering: .relaxed)
        }
    }

    /// Ends the watch, before the descriptor is closed.
    func end() {
        guard isMade, let made = place.value.made.withLock({ $0 }) else { return }
        made.reactor.endWatch(made.token)
    }
}
