// SPDX-License-Identifier: Apache-2.0
//
// A descriptor for the poll(2) or epoll(7) of others that tells whether a ring has something to receive.
//
// The ring's own bell is never read, so that no process takes a wake-up away from another; it has edges but no level. So a process that asks for a descriptor gets an event descriptor of its own for
// that. It is made readable when the bell rings and there is something; after each receive through this handle it is emptied first, and then made readable again if there is more. A look that began
// before it was emptied makes it readable no more: what it saw may be what was received since, and whoever empties looks himself. It may be readable when another thread or process has taken the
// message: never the other way round.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The descriptor of one handle, made at first need.
final class ReadyDescriptor: Sendable {
    private struct State {
        /// This object's own; -1: none.
        var descriptor: Int32 = -1
        /// Whether another look is due already.
        var isDue = false
        /// How often it was emptied.
        var emptied: UInt = 0
        var looks = LooksAhead()
    }

    private let state = PlainMutex(State())

    /// The number of the process, by forks, in which it was made, plus 1.
    private let madeIn = Atomic<UInt32>(0)

    /// The same for the process in which it was prepared: without that it would never become readable.
    private let preparedIn = Atomic<UInt32>(0)

    deinit {
        let number = state.withLock { $0.descriptor }
        if number >= 0 { close(number) }
    }

    /// Whether it was made in this process.
    @inline(__always)
    var isMade: Bool {
        // Relaxed: who has made it knows, and to others it does not matter.
        madeIn.load(ordering: .relaxed) == mp_fork_generation() &+ 1
    }

    /// Its number; `prepare` is called until it succeeds once.
    func number(prepare: () throws -> Void) throws -> Int32 {
        let generation = mp_fork_generation()
        if !isMade {
            let made = try OwnedDescriptor(checking: mp_eventfd(0), "making an event descriptor")
            let number = made.release()
            let superfluous = state.withLock { state in
                if madeIn.load(ordering: .relaxed) == generation &+ 1 { return number }
                defer { state = State(descriptor: number) }
                madeIn.store(generation &+ 1, ordering: .relaxed)
                return state.descriptor
            }
            if superfluous >= 0 { close(superfluous) }
        }
        // Relaxed: at worst it is prepared twice.
        if preparedIn.load(ordering: .relaxed) != generation &+ 1 {
            try prepare()
            preparedIn.store(generation &+ 1, ordering: .relaxed)
        }
        return state.withLock { $0.descriptor }
    }

    /// Makes it unreadable, before a look.
    func empty() {
        var count: UInt64 = 0
        state.withLock { state in
            state.emptied &+= 1
            // Does not block: an event descriptor of this package never does.
            _ = read(state.descriptor, &count, 8)
        }
    }

    /// How often it was emptied until now: before a look.
    var emptied: UInt { state.withLock { $0.emptied } }

    /// Makes it readable, unless it was emptied since the look that says so began.
    func fill(since emptied: UInt) {
        var one: UInt64 = 1
        state.withLock { state in
            guard state.emptied == emptied else { return }
            _ = write(state.descriptor, &one, 8)
        }
    }

    /// Notes that whoever does something will tell.
    func expectWord() {
        state.withLock { $0.looks.reset() }
    }

    /// Calls `look` soon, unless that is due already.
    func lookSoon(_ look: @escaping @Sendable () -> Void) {
        let time = state.withLock { state -> Deadline? in
            defer { state.isDue = true }
            return state.isDue ? nil : state.looks.next()
        }
        guard let time, let reactor = Runtime.ifMade?.reactor else { return }
        _ = reactor.waitUntil(time) { [weak self] _ in
            self?.state.withLock { $0.isDue = false }
            look()
        }
    }
}

extension RingLink {
    func readableDescriptor() throws -> Int32 {
        try checkWaitable()
        return try ready.number {
            try inboundTasks?.callWhenWoken { [weak self] in self?.showReadiness() }
            showReadiness()
        }
    }

    /// Makes the descriptor readable if there is something to receive, and sees to it that it will be when there is.
    private func showReadiness() {
        // A forked copy has the parent's descriptor, which is not for it to write to.
        guard ready.isMade else { return }
        let emptied = ready.emptied
        let mayMissMark = markWaiting()
        if !mayMissMark { ready.expectWord() }
        if isReady {
            ready.fill(since: emptied)
        } else if mayMissMark {
            // A producer that is at it may not have seen the mark.
            ready.lookSoon { [weak self] in self?.showReadiness() }
        }
    }

    /// Brings the descriptor up to date after something was received, if there is one.
    @inline(__always)
    func refreshReadiness() {
        if ready.isMade { emptyAndShow() }
    }

    @inline(never)
    private func emptyAndShow() {
        ready.empty()
        showReadiness()
    }
}
