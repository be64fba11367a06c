// SPDX-License-Identifier: Apache-2.0

/// Whether a client is read from.
///
/// Not while there are answers that it has not made room for: a client that does not listen costs as much memory as it has asked, and nobody's time. And not while too many of its calls wait for values that are busy.
package struct SessionFlow<Answer> {
    private var backlog = FIFO<Answer>()
    private var isFlushing = false
    private var isParked = false
    private var budget: WaitingBudget
    /// Whether somebody looks now and then whether the client is still there.
    private var hasLookout = false
    /// Whether it is not: then what it has sent is read to its end, however much that is.
    private var clientIsGone = false

    /// Creates the flow of a client that listens.
    package init(budget: WaitingBudget = WaitingBudget()) {
        self.budget = budget
    }

    /// Whether answers have to join the backlog.
    package var isCongested: Bool { isFlushing }

    /// Adds an answer. Returns whether the caller has to see to it that the backlog is sent.
    package mutating func add(_ answer: Answer) -> Bool {
        backlog.append(answer)
        defer { isFlushing = true }
        return !isFlushing
    }

    /// Whether a reader has to park before it reads.
    package var mustPark: Bool { isFlushing || (budget.isExceeded && !clientIsGone) }

    /// Asked by a reader before it reads. When it returns true, the reader goes, and whoever sends the backlog, or makes a call that waited, starts another.
    package mutating func park() -> Bool {
        isParked = mustPark
        return isParked
    }

    /// What to send next.
    package mutating func next() -> Next {
        guard let answer = backlog.popFirst() else {
            isFlushing = false
            defer { isParked = false }
            // Also when too many calls wait: the next reader sees that for itself.
            return .done(resumesReading: isParked)
        }
        return .send(answer)
    }

    /// What a sender of the backlog does next.
    package enum Next {
        case send(Answer)
        /// Everything is sent; a parked reader is to be replaced.
        case done(resumesReading: Bool)
    }

    // MARK: - Calls that wait

    /// Notes that a call has to wait for its value, whose request had so many bytes. Said by the reader.
    package mutating func noteWaiting(bytes: Int) {
        budget.add(bytes: bytes)
    }

    /// Notes that the turn of such a call has come. Returns whether a parked reader is to be replaced.
    package mutating func noteTurn(bytes: Int) -> Bool {
        budget.remove(bytes: bytes)
        return budget.hasRoom && resumes()
    }

    /// Ends a parking, unless the backlog does. Returns whether there was one.
    private mutating func resumes() -> Bool {
        guard isParked, !isFlushing else { return false }
        isParked = false
        return true
    }

    // MARK: - The lookout

    /// Whether the caller has to begin to look now and then whether the client is still there: who sends a backlog finds that out, and who reads.
    package mutating func beginsLookout() -> Bool {
        guard isParked, !isFlushing, !hasLookout else { return false }
        hasLookout = true
        return true
    }

    /// Notes what somebody saw who looked.
    package mutating func lookOut(clientIsGone: Bool) -> Lookout {
        if clientIsGone {
            self.clientIsGone = true
        } else if isParked, !isFlushing {
            return .again
        }
        hasLookout = false
        return clientIsGone && resumes() ? .resumesReading : .over
    }

    /// What one does next who has looked.
    package enum Lookout {
        /// Look again later.
        case again
        /// Replace the parked reader, who finds the end.
        case resumesReading
        case over
    }
}
