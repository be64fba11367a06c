// SPDX-License-Identifier: Apache-2.0
//
// How workers end. Every step has a limit: a task is asked to cancel itself if it can hear that, then its worker gets SIGTERM, then SIGKILL; a worker that was told to stop, and has nothing left to do, gets them too if it
// does not go. Nobody else's task goes down with a worker: what it has not begun is taken back first.

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension LocalSession {
    /// How long an asynchronous task that was asked to cancel itself may take for that.
    private static var cancellationGrace: Duration { .milliseconds(200) }
    /// How long SIGTERM may take.
    private static var terminationGrace: Duration { .milliseconds(500) }
    /// How long a worker may take to end by itself: it runs exit handlers, and waits for children that are no daemons.
    private static var exitGrace: Duration { .seconds(10) }

    // MARK: - The end of all

    func close(drain: Bool) {
        if !isClosing || (isDraining && !drain) {
            isClosing = true
            isDraining = drain
        }
        for worker in workers {
            if drain || worker.outstanding.isEmpty {
                if worker.phase == .ready || worker.phase == .starting {
                    worker.phase = .retiring
                    worker.stop()
                }
                insistIfIdle(worker)
            } else {
                terminate(worker)
            }
        }
    }

    /// Gives a worker no more tasks, and lets it end after those it has.
    func retire(_ worker: LocalWorker) {
        guard worker.phase == .ready || worker.phase == .starting else { return }
        leave(worker, isLost: false)
        worker.phase = .retiring
        worker.stop()
        insistIfIdle(worker)
        // Its successor is started at once, not when it is gone.
        host.engineChanged()
    }

    /// Retires a worker that has been given as many tasks as one may have. One that is still being started goes on to be until it is ready: a start that fails has to be told from an end.
    func retireIfSpent(_ worker: LocalWorker) {
        guard let maximum = specification.maximumTasks, worker.given >= maximum else { return }
        worker.isSpent = true
        if worker.phase == .ready { retire(worker) }
    }

    // MARK: - The end of one

    /// Notes that a worker's place is to be taken by another, before its phase changes.
    func leave(_ worker: LocalWorker, isLost: Bool) {
        guard worker.phase == .ready || worker.phase == .starting else { return }
        vacancies.append(worker.restarts + (isLost ? 1 : 0))
        // Not every place is taken again, where there are to be fewer.
        if vacancies.count > max(target, 1) { vacancies.removeFirst() }
    }

    /// Ends a worker at once.
    func end(_ worker: LocalWorker) {
        leave(worker, isLost: true)
        if worker.phase != .ended { worker.phase = .retiring }
        try? worker.process?.signal(SIGKILL)
    }

    /// SIGTERM, and a little later SIGKILL.
    private func terminate(_ worker: LocalWorker) {
        leave(worker, isLost: true)
        if worker.phase != .ended { worker.phase = .retiring }
        insist(worker, after: .zero)
    }

    /// Sees to the end of a worker that was told to stop, from the moment on when it has nothing left to do.
    func insistIfIdle(_ worker: LocalWorker) {
        guard worker.phase == .retiring, worker.outstanding.isEmpty else { return }
        guard worker.insistence == nil || isClosing && !isDraining else { return }
        insist(worker, after: isClosing && !isDraining ? Self.terminationGrace : Self.exitGrace)
    }

    /// SIGTERM after `patience`, and a little later SIGKILL.
    private func insist(_ worker: LocalWorker, after patience: Duration) {
        guard patience > .zero else {
            try? worker.process?.signal(SIGTERM)
            return arm(worker, Self.terminationGrace) { session in session.end(worker) }
        }
        arm(worker, patience) { session in session.insist(worker, after: .zero) }
    }

    /// Calls `body` after `time` if the worker is there then; instead of what was armed before.
    private func arm(_ worker: LocalWorker, _ time: Duration, _ body: @escaping @Sendable (LocalSession) -> Void) {
        guard let reactor = try? Runtime.shared().reactor else { return end(worker) }
        if let armed = worker.insistence { reactor.cancel(armed) }
        let call = reentry { session in
            // It has fired: whoever looks whether something is armed must not take it for that.
            worker.insistence = nil
            guard worker.phase != .ended else { return }
            // One that is being started has no process yet.
            guard worker.process != nil else { return session.arm(worker, Self.terminationGrace, body) }
            body(session)
        }
        worker.insistence = reactor.waitUntil(Deadline(timeout: time)) { _ in call() }
    }

    /// Forgets what was armed for a worker that has ended.
    func disarm(_ worker: LocalWorker) {
        guard let armed = worker.insistence, let reactor = Runtime.ifMade?.reactor else { return }
        worker.insistence = nil
        reactor.cancel(armed)
    }

    // MARK: - The end of a task

    func cancel(_ ticket: UInt64, kill: Bool) {
        cancel(kill: kill) { $0 == ticket }
    }

    func cancel(_ tickets: [UInt64], kill: Bool) {
        if tickets.count == 1 { return cancel(tickets[0], kill: kill) }
        let wanted = Set(tickets)
        cancel(kill: kill) { wanted.contains($0) }
    }

    /// Takes back what was not begun of some tasks, and with `kill` ends the others: once through what all workers have, however many they are.
    private func cancel(kill: Bool, _ isWanted: (UInt64) -> Bool) {
        for worker in workers where worker.load > 0 {
            let (revoked, begun) = worker.revokeAll(isWanted)
            if !revoked.isEmpty {
                for ticket in revoked { unwritten.append((ticket, nil)) }
                noteRevoked(worker)
                host.engineChanged()
            }
            if kill, let begun { interrupt(worker, at: begun, as: .notBegun) }
        }
    }

    /// Takes a task back that its worker has not begun; false when it has.
    func takeBack(_ entry: LocalWorker.Outstanding, from worker: LocalWorker) -> Bool {
        guard worker.revoke(entry) else { return false }
        noteRevoked(worker)
        return true
    }

    /// Looks whether a worker has nothing left, now that something was taken back from it.
    private func noteRevoked(_ worker: LocalWorker) {
        // Nothing comes from a worker that has nothing else.
        worker.dropRevoked()
        if worker.phase == .ready, worker.outstanding.isEmpty { listIdle(worker) }
        insistIfIdle(worker)
    }

    /// Ends a task that a worker has begun, and the worker with it unless the task hears that it is cancelled.
    ///
    /// - Parameters:
    ///   - loss: How the task is lost by that.
    ///   - element: The element that is to blame, where it is one.
    func interrupt(_ worker: LocalWorker, at entry: LocalWorker.Outstanding, as loss: Loss, element: Int? = nil) {
        var isOver = false
        // From the last one on: where one cannot be taken back, the worker is done with all before it.
        for other in worker.outstanding.all.reversed() where !other.isRevoked {
            if other.ticket == entry.ticket { break }
            if takeBack(other, from: worker) { unwritten.append((other.ticket, nil)) } else { isOver = true }
        }
        host.engineChanged()
        guard !isOver, !worker.tasks.isReleased(entry.end) else { return }
        worker.losses[entry.ticket] = (loss, element)
        guard worker.memory.status(.awaited) == entry.ticket else { return terminate(worker) }
        worker.isInterrupted = true
        worker.memory.askToCancel(entry.ticket)
        let ticket = entry.ticket
        arm(worker, Self.cancellationGrace) { session in
            if worker.entry(ticket) != nil { session.terminate(worker) }
        }
    }

    // MARK: - From other threads

    /// A function for other threads to call: it calls `body` under the pool's lock, and lets the pool look; does nothing once the pool is gone.
    func reentry(_ body: @escaping @Sendable (LocalSession) -> Void) -> @Sendable () -> Void {
        let (session, host) = (FaintReference(self), FaintReference(host))
        return {
            // Held to the end: the pool may be let go of by everybody else meanwhile.
            guard let host = host.object as? any EngineHost, let session = session.object as? LocalSession else {
                return
            }
            host.withLock { body(session) }
            host.engineChanged()
        }
    }
}
