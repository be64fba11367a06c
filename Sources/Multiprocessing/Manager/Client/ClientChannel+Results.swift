// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension ClientChannel {
    /// How many calls are sent between two looks at what has been answered.
    private static let callsBetweenLooks: UInt64 = 64

    /// Sends a call whose answer is asked for later. The thread is blocked while there is no room.
    ///
    /// - Parameter told: The function that the manager knows once it has answered.
    /// - Throws: As `call`, but nothing that is known only from the answer.
    func submit(
        _ kind: ManagerRequest,
        telling told: ManagedFunction.Key?,
        _ body: Body
    ) throws -> (number: UInt64, waiter: ResultWaiter) {
        lookIfIdle()
        let waiter = ResultWaiter(self, telling: told)
        guard let (number, _) = calls.withLock({ $0.add(.result(waiter), isTask: false) }) else {
            throw UnsentRequest(channel: self)
        }
        do {
            try link.buffers.withOutgoing { message in
                try write(kind, number, body, to: message)
                try sendReleases()
                try send(message)
            }
        } catch {
            _ = calls.withLock { $0.remove(number) }
            throw error
        }
        if number.isMultiple(of: Self.callsBetweenLooks) { look() }
        return (number, waiter)
    }

    /// Hands on the answers that have come, unless somebody else does.
    func look() {
        guard calls.withLock({ $0.readsNow() }) else { return }
        if !drain() { end() }
        resign()
    }

    /// Looks whether the manager has gone while there was no call, where sending would not tell: to a stream that the other end has closed, or to a process that is known to be dead.
    @inline(__always)
    func lookIfIdle() {
        if remote != nil, calls.withLock({ $0.count == 0 }) { look() }
        if isOutlived { endAfterDeath() }
    }

    /// Takes what the process at the other end had answered before it died, and ends the channel, so that a call is not sent into it. Somebody who reads already comes to its end by himself.
    @inline(never)
    private func endAfterDeath() {
        guard calls.withLock({ $0.readsNow() }) else { return }
        _ = drain()
        end()
        resign()
    }

    // MARK: - Asking

    /// Blocks until the answer to a call is there or the deadline has come. Returns whether it is.
    func wait(for number: UInt64, _ waiter: ResultWaiter, until deadline: Deadline) -> Bool {
        if calls.withLock({ $0.readsNow() }) {
            lead(number, until: deadline)
            if waiter.isAnswered || deadline.hasPassed { return waiter.isAnswered }
            // The channel has just ended, and it is about to be told.
        }
        let thread = ThreadWaiter()
        guard waiter.add(thread) else { return true }
        let (step, ticket) = calls.withLock { $0.wait(for: number, as: .thread(thread)) }
        if case .lead = step {
            lead(number, until: deadline)
        } else {
            var end = thread.wait(until: deadline)
            // Too late to leave: the word comes at once.
            if end == .timedOut, case .follow = step, !calls.withLock({ $0.leave(ticket) }) {
                end = thread.wait(until: .never)
            }
            if end == .leads { lead(number, until: deadline) }
        }
        waiter.remove(thread)
        return waiter.isAnswered
    }

    /// Reads answers until that to a call is there or the deadline has come, and lets somebody else read then.
    private func lead(_ number: UInt64, until deadline: Deadline) {
        defer { resign() }
        var message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        // Somebody else may have read it before.
        while calls.withLock({ $0.isUnderWay(number) }) {
            let arrival = receive(into: message, until: deadline)
            switch arrival {
            case .message, .withoutHandles:
                if handOver(message, arrival) { message = link.buffers.takeIncoming() } else { message.reset() }
            case .nothing: if deadline.hasPassed { return }
            case .end: return end()
            }
        }
    }

    /// What is posted when the answer to a call is there; nil when it is. Answers are read from now on.
    func notice(of number: UInt64, _ waiter: ResultWaiter) -> Notice? {
        guard let notice = waiter.notice() else { return nil }
        if calls.withLock({ $0.waitAsTask(for: number) }) { startPump() }
        return notice
    }
}
