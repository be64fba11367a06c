// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels

/// The tasks that a worker has been given: answered, taken back, taken off the books.
extension LocalWorker {
    /// Has the worker begin no element of a task behind the one that it is at; returns whether that is still `element`.
    func halt(_ ticket: UInt64, at element: Int) -> Bool {
        halted = ticket
        memory.askToHalt(ticket)
        return memory.status(.task) == ticket && memory.status(.element) == UInt64(element)
    }

    /// Takes back a task that was not begun; the worker will pass over it. False when it was.
    func revoke(_ entry: Outstanding) -> Bool {
        guard withdraw(entry) else { return false }
        change(entry.ticket) { $0.isRevoked = true }
        noteRevoked(1)
        return true
    }

    /// Takes back those of some tasks that were not begun, in one pass.
    ///
    /// - Returns: Their tickets; and the last of the tasks that was begun, if there is one: with all before it the worker is done.
    func revokeAll(_ isWanted: (UInt64) -> Bool) -> (revoked: [UInt64], begun: Outstanding?) {
        var revoked: [UInt64] = []
        var begun: Outstanding?
        outstanding.modify { entry in
            guard !entry.isRevoked, isWanted(entry.ticket) else { return false }
            if withdraw(entry) {
                entry.isRevoked = true
                revoked.append(entry.ticket)
            } else {
                begun = entry
            }
            return false
        }
        noteRevoked(revoked.count)
        return (revoked, begun)
    }

    /// Tells the worker to pass over a task; false when it has begun it, or was told before.
    private func withdraw(_ entry: Outstanding) -> Bool {
        // What the worker has passed it has done, and its record may be another's by now.
        !entry.isRevoked && !tasks.isReleased(entry.end) && entry.record.revoke()
    }

    private func noteRevoked(_ count: Int) {
        revokedCount += count
        given -= count
        if count > 0, phase == .starting { isSpent = false }
    }

    /// Changes the entry of a task.
    func change(_ ticket: UInt64, _ body: (inout Outstanding) -> Void) {
        outstanding.modify { entry in
            guard entry.ticket == ticket else { return false }
            body(&entry)
            return true
        }
    }

    /// The entry of a task that was neither answered nor taken back.
    func entry(_ ticket: UInt64) -> Outstanding? {
        isGiven(ticket)
            ? outstanding.all.first { $0.ticket == ticket } : nil
    }

    /// Whether it has a task that was neither answered nor taken back.
    @inline(__always)
    func isGiven(_ ticket: UInt64) -> Bool {
        // As a rule it is the first.
        if let first = outstanding.first, first.ticket == ticket { return !first.isRevoked }
        return outstanding.contains { $0.ticket == ticket && !$0.isRevoked }
    }

    /// Takes the tasks off the books that were answered with `ticket`, or revoked before it; nil when there is none with it.
    func settle(_ ticket: UInt64) -> Outstanding? {
        // As a rule it is the first.
        if let first = outstanding.first, first.ticket == ticket, !first.isRevoked {
            outstanding.popFirst()
            release(first)
            return first
        }
        guard isGiven(ticket) else { return nil }
        while let entry = outstanding.popFirst() {
            release(entry)
            if entry.ticket == ticket { return entry }
        }
        return nil
    }

    /// Takes off what was revoked and lies in front.
    func dropRevoked() {
        while let entry = outstanding.first, entry.isRevoked {
            outstanding.popFirst()
            release(entry)
        }
    }

    @inline(__always)
    private func release(_ entry: Outstanding) {
        if entry.isRevoked { revokedCount -= 1 }
        if let segment = entry.segment { lentSegments.remove(segment) }
    }
}
