// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension LocalSession {
    /// Sees to it that somebody looks at the tasks under way no later than `deadline`.
    func armTimer(_ deadline: Deadline) {
        guard timers == nil || deadline < timerDeadline, let reactor = try? Runtime.shared().reactor else { return }
        if let timers { reactor.cancel(timers) }
        timerDeadline = deadline
        let check = reentry { session in session.checkTimes() }
        timers = reactor.waitUntil(deadline) { _ in check() }
    }

    /// Ends workers whose task has taken too long.
    func checkTimes() {
        timers = nil
        timerDeadline = .never
        let now = mp_now()
        var next = Deadline.never
        for worker in workers {
            let running = worker.memory.status(.task)
            for entry in worker.outstanding.all {
                guard let timeout = entry.timeout, !entry.isRevoked, worker.losses[entry.ticket] == nil else {
                    continue
                }
                let limit = Deadline(timeout: timeout).nanoseconds &- now
                guard entry.ticket == running else {
                    next = min(next, Deadline(nanoseconds: now &+ limit))
                    continue
                }
                // The element before its begin: of a later one that is seen here, no earlier begin can be.
                let element = Int(clamping: worker.memory.status(.element))
                let end = Int64(bitPattern: worker.memory.status(.since)) &+ limit
                if end > now {
                    next = min(next, Deadline(nanoseconds: end))
                } else if worker.halt(entry.ticket, at: element) {
                    interrupt(worker, at: entry, as: .timedOut, element: element)
                } else {
                    // It was done in the last moment, and the one behind it has just begun.
                    next = min(next, Deadline(nanoseconds: now &+ limit))
                }
            }
        }
        if !next.isNever { armTimer(next) }
    }
}
