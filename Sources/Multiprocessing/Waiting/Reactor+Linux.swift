// SPDX-License-Identifier: Apache-2.0
//
// One thread of the process that waits (epoll) for everything that may happen: exits of children, messages, the end of a timeout. It calls short handlers only. It is started at
// first use, sleeps while nothing happens, and lives as long as the process.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// Waits for descriptors and deadlines on behalf of others.
final class Reactor: Sendable {
    /// What happened.
    enum Event: Sendable {
        case readable
        case deadline
    }

    /// What a watch is told of.
    enum Interest {
        /// That there is something to read, again and again as long as there is.
        case readable
        /// Every time that something is written (epoll(7), EPOLLET).
        case written
        /// That the other end of a socket is closed, once.
        case hangUp
        /// That something can be written, or that a connection attempt has ended.
        case writable

        fileprivate var events: UInt32 {
            switch self {
            case .readable: EPOLLIN.rawValue | EPOLLRDHUP.rawValue
            case .written: EPOLLIN.rawValue | EPOLLET.rawValue
            case .hangUp: EPOLLRDHUP.rawValue | EPOLLET.rawValue
            case .writable: EPOLLOUT.rawValue
            }
        }
    }

    /// Called on the reactor's thread; must not block.
    typealias Handler = @Sendable (Event) -> Void

    /// A wait, to be ended by it.
    struct Token: Sendable {
        fileprivate let value: UInt64
    }

    private let state = PlainMutex(ReactorStateMachine<Handler>())
    private let epoll: OwnedDescriptor
    private let bell: OwnedDescriptor

    /// Creates the reactor and starts its thread.
    ///
    /// - Throws: `SystemError` when descriptors or threads are short.
    init() throws(SystemError) {
        epoll = try OwnedDescriptor(
            checking: epoll_create1(Int32(bitPattern: UInt32(EPOLL_CLOEXEC))),
            "making an epoll descriptor"
        )
        bell = try OwnedDescriptor(checking: mp_eventfd(0), "making an event descriptor")
        try control(EPOLL_CTL_ADD, bell.number, token: 0, oneShot: false)
        // Never freed: the thread may still be about to wake this one when it goes on.
        let isReady = SharedWord(.allocate(capacity: 1))
        isReady.initialize(0)
        try Thread.start(name: "mp-reactor") { self.run(isReady) }
        while isReady.load() == 0 { _ = isReady.wait(while: 0, until: .never) }
    }

    // MARK: - Waits

    /// Calls `handler` whenever `descriptor` is readable, or what else is of `interest`, until `endWatch`. The caller keeps the descriptor open as long.
    func watch(
        _ descriptor: Int32,
        for interest: Interest = .readable,
        _ handler: @escaping Handler
    ) throws(SystemError) -> Token {
        let token = state.withLock { $0.add(handler, descriptor: descriptor, isPersistent: true, deadline: nil).token }
        do {
            try control(EPOLL_CTL_ADD, descriptor, token: token, events: interest.events)
        } catch {
            _ = state.withLock { $0.remove(token) }
            throw error
        }
        return Token(value: token)
    }

    /// Calls `handler` once: when `descriptor` is readable, or what else is of `interest`, or when the deadline has come.
    ///
    /// The wait has a descriptor of its own for the same file: several waits for one file do not disturb each other, and the caller may close its own meanwhile.
    func waitOnce(
        _ descriptor: Int32,
        for interest: Interest = .readable,
        until deadline: Deadline,
        _ handler: @escaping Handler
    ) throws(SystemError) -> Token {
        let own = try OwnedDescriptor(checking: mp_duplicate(descriptor), "waiting for a descriptor").release()
        let events = interest.events | EPOLLONESHOT.rawValue
        let limit = deadline.isNever ? nil : deadline.nanoseconds
        let (added, failure) = state.withLock { state in
            let added = state.add(handler, descriptor: own, isPersistent: false, deadline: limit)
            // Under the lock: a deadline that has come would let go of the descriptor before it is in the set.
            let failure = Result { () throws(SystemError) in
                try control(EPOLL_CTL_ADD, own, token: added.token, events: events)
            }
            if case .failure = failure { _ = state.remove(added.token) }
            return (added, failure)
        }
        if case .failure(let error) = failure {
            close(own)
            throw error
        }
        if added.isEarliest { ring() }
        return Token(value: added.token)
    }

    /// Calls `handler` once, when the deadline has come.
    func waitUntil(_ deadline: Deadline, _ handler: @escaping Handler) -> Token {
        let added = state.withLock {
            $0.add(handler, descriptor: nil, isPersistent: false, deadline: deadline.nanoseconds)
        }
        if added.isEarliest { ring() }
        return Token(value: added.token)
    }

    /// Ends a wait. Returns false when it has ended already; its handler may then be running.
    @discardableResult
    func cancel(_ token: Token) -> Bool {
        guard let removed = state.withLock({ $0.remove(token.value) }) else { return false }
        if let descriptor = removed.descriptor { forget(descriptor) }
        return true
    }

    /// Ends a watch made by `watch`, before its descriptor is closed.
    func endWatch(_ token: Token) {
        guard let removed = state.withLock({ $0.remove(token.value) }), let descriptor = removed.descriptor else {
            return
        }
        // Fails only when the descriptor is closed, which removes it as well.
        try? control(EPOLL_CTL_DEL, descriptor, token: 0, oneShot: false)
    }

    /// Lets go of a wait's own descriptor. It must leave the epoll set by name: closing removes a file from the set only with its last descriptor.
    private func forget(_ descriptor: Int32) {
        try? control(EPOLL_CTL_DEL, descriptor, token: 0, oneShot: false)
        close(descriptor)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, token: UInt64, oneShot: Bool) throws(SystemError) {
        let events = Interest.readable.events | (oneShot ? EPOLLONESHOT.rawValue : 0)
        try control(operation, descriptor, token: token, events: events)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, token: UInt64, events: UInt32) throws(SystemError) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        guard epoll_ctl(epoll.number, operation, descriptor, &event) == 0 else {
            throw SystemError("waiting for a descriptor")
        }
    }

    private func ring() {
        var one: UInt64 = 1
        // Fails only when the count is full, and then the reactor is being told already.
        _ = write(bell.number, &one, 8)
    }

    // MARK: - The thread

    /// - Parameter isReady: Set once a fork of this process finds the thread behind the gate or asleep, whatever it does.
    private func run(_ isReady: SharedWord) -> Never {
        let room: Int32 = 64
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Int(room))
        isReady.exchange(1)
        isReady.wake(1)
        ForkLock.enterGate()
        while true {
            let earliest = state.withLock { $0.earliestDeadline }
            let timeout = earliest.map { Deadline(nanoseconds: $0).pollTimeout } ?? -1
            let descriptor = epoll.number
            ForkLock.leaveGate()
            let count = epoll_wait(descriptor, events, room, timeout)
            ForkLock.enterGate()
            for event in UnsafeBufferPointer(start: events, count: Int(max(0, count))) {
                if event.data.u64 == 0 { silence() } else { deliver(event.data.u64) }
            }
            for expired in state.withLock({ $0.expire(now: mp_now()) }) {
                if let descriptor = expired.descriptor { forget(descriptor) }
                expired.handler(.deadline)
            }
        }
    }

    private func deliver(_ token: UInt64) {
        guard let ready = state.withLock({ $0.ready(token) }) else { return }
        if let descriptor = ready.ended { forget(descriptor) }
        ready.handler(.readable)
    }

    private func silence() {
        var count: UInt64 = 0
        _ = read(bell.number, &count, 8)
    }
}

extension Reactor {
    /// Suspends until `descriptor` is readable or the deadline has come, and returns whether it is.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled; `SystemError` when the descriptor cannot be waited for.
    func readable(_ descriptor: Int32, until deadline: Deadline) async throws -> Bool {
        let notice = Notice()
        let token = try waitOnce(descriptor, until: deadline) { _ in notice.post() }
        defer { cancel(token) }
        _ = try await notice.wait(until: .never, on: self)
        return Polling.isReadable(descriptor)
    }
}
