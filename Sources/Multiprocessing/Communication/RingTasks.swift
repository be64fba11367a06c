// SPDX-License-Identifier: Apache-2.0
//
// How the tasks of this process wait for a ring: one after the other (`Turn`), the first one for the ring's bell, which the reactor watches. No thread waits for any of them.
//
// What refers to the tasks and threads of this process is `ForkLocal`: a forked copy must neither resume its parent's tasks nor wait for a lock that one of its threads held.

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// The tasks of this process that wait for a ring.
final class RingTasks: Sendable {
    /// How many looks a task takes, a millisecond apart, when somebody may not have seen that it waits. He may be stopped: then a thread takes the wait over, as long as it lasts.
    private static let mostLooks = 8

    private let ring: Ring
    private let bell: Int32
    private let consumers = Turn()
    private let producers = Turn()
    private let joiners = Turn()
    private let waiting: NoticeList
    private let watch: LazyWatch
    /// Called whenever something may have changed.
    private let hook: Hook

    /// A place for what is to be called.
    private final class Hook: Sendable {
        let body = PlainMutex<(@Sendable () -> Void)?>(nil)
    }

    /// Creates the place where tasks wait for `ring`; the caller keeps `bell` open.
    ///
    /// - Parameter other: The place for another ring with the same bell, which can be watched once only.
    init(_ ring: Ring, bell: Int32, sharing other: RingTasks? = nil) {
        self.ring = ring
        self.bell = bell
        waiting = other?.waiting ?? NoticeList()
        watch = other?.watch ?? LazyWatch()
        hook = other?.hook ?? Hook()
    }

    /// Ends the watch, before the bell is closed.
    func close() {
        watch.end()
    }

    /// Lets all waiting tasks look again.
    func wake() {
        waiting.post()
        hook.body.withLock { $0 }?()
    }

    /// Calls `body` from now on whenever something may have changed; it must not block.
    func callWhenWoken(_ body: @escaping @Sendable () -> Void) throws {
        hook.body.withLock { $0 = body }
        try watchBell()
    }

    /// Lets the reactor listen to the bell.
    private func watchBell() throws {
        try watch.make(bell, for: .written) { [weak self] _ in self?.wake() }
    }

    /// Puts a message, suspending the task while there is no room.
    func put(_ message: OutgoingMessage, until deadline: Deadline) async throws -> RingOutcome {
        try await run(producers, until: deadline) { [ring] in
            ring.markWaitingForSpace()
            return ring.consumersAreBusy
        } attempt: { [ring] deadline, cancellation in
            let waits = cancellation != nil
            return try message.withBytes { bytes in
                try ring.put(
                    bytes,
                    descriptors: message.descriptors,
                    until: deadline,
                    cancellation: cancellation,
                    waitsForOthers: waits
                )
            }
        }
    }

    /// Takes a message, suspending the task while there is none.
    func take(into message: IncomingMessage, until deadline: Deadline) async throws -> RingOutcome {
        try await run(consumers, until: deadline) { [ring] in
            ring.markWaitingForItems()
            return ring.producersAreBusy
        } attempt: { [ring] deadline, cancellation in
            let waits = cancellation != nil
            return try ring.take(
                until: deadline,
                cancellation: cancellation,
                waitsForOthers: waits,
                descriptors: &message.descriptors
            ) { message.fill($0) }
        }
    }

    /// Suspends the task until there is a message, without taking it.
    func waitForItem(until deadline: Deadline) async throws -> RingOutcome {
        try await run(consumers, until: deadline) { [ring] in
            ring.markWaitingForItems()
            return ring.producersAreBusy
        } attempt: { [ring] deadline, cancellation in
            try ring.wait(until: deadline, cancellation: cancellation, waitsForOthers: cancellation != nil)
        }
    }

    /// Suspends the task until every message has been dealt with.
    func waitUntilFinished(until deadline: Deadline) async throws -> RingOutcome {
        try await run(joiners, until: deadline) { [ring] in
            ring.markWaitingUntilFinished()
        } attempt: { [ring] deadline, cancellation in
            try ring.waitUntilFinished(until: deadline, cancellation: cancellation)
        }
    }

    /// Adds a notice that is posted when something may have changed. The caller removes it again, and marks and looks after this.
    func add(_ notice: Notice) throws {
        try watchBell()
        waiting.add(notice)
    }

    /// Takes a notice back.
    func remove(_ notice: Notice) {
        waiting.remove(notice)
    }

    /// Calls `attempt` until it neither finds nothing nor somebody else at it.
    ///
    /// - Parameters:
    ///   - mark: Marks that a task waits, and returns whether somebody may not have seen that.
    ///   - attempt: Without a cancellation it must not wait.
    private func run(
        _ turn: Turn,
        until deadline: Deadline,
        mark: @Sendable () -> Bool,
        attempt: @escaping @Sendable (Deadline, WaitCancellation?) throws -> RingOutcome
    ) async throws -> RingOutcome {
        try Task.checkCancellation()
        let first = try attempt(.passed, nil)
        guard first == .timedOut && !deadline.hasPassed || first == .busy else { return first }
        let reactor = try Runtime.shared().reactor
        guard try await turn.begin(until: deadline, on: reactor) else { return .timedOut }
        defer { turn.end() }
        try watchBell()
        var looks = 0
        while true {
            let notice = waiting.add()
            defer { waiting.remove(notice) }
            let mayMissMark = mark()
            let outcome = try attempt(.passed, nil)
            looks = mayMissMark ? looks + 1 : 0
            if outcome == .busy || outcome == .timedOut && looks > Self.mostLooks {
                // Another thread or process is at it, or asleep over it with the lock: it takes a thread to wait for a lock, or to sleep so that whoever stores a position sees it.
                return try await BlockingWaiters.run { cancellation in try attempt(deadline, cancellation) }
            }
            guard outcome == .timedOut, !deadline.hasPassed else { return outcome }
            let soon = mayMissMark ? min(deadline, Deadline(timeout: .milliseconds(1))) : deadline
            _ = try await notice.wait(until: soon, on: reactor)
        }
    }
}
