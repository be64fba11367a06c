// SPDX-License-Identifier: Apache-2.0

/// The answers that a client has not made room for. While there are any, nothing further is read from it: a client that does not listen costs as much memory as it has asked, and nobody's time.
package struct SessionFlow<Answer> {
    private var backlog: [Answer] = []
    private var isFlushing = false
    private var isParked = false

    /// Creates the flow of a client that listens.
    package init() {}

    /// Whether answers have to join the backlog.
    package var isCongested: Bool { isFlushing }

    /// Adds an answer. Returns whether the caller has to see to it that the backlog is sent.
    package mutating func add(_ answer: Answer) -> Bool {
        backlog.append(answer)
        defer { isFlushing = true }
        return !isFlushing
    }

    /// Asked by a reader before it reads. When it returns true, the reader goes, and whoever sends the backlog starts another.
    package mutating func park() -> Bool {
        isParked = isFlushing
        return isParked
    }

    /// What to send next.
    package mutating func next() -> Next {
        guard !backlog.isEmpty else {
            isFlushing = false
            defer { isParked = false }
            return .done(resumesReading: isParked)
        }
        return .send(backlog.removeFirst())
    }

    /// What a sender of the backlog does next.
    package enum Next {
        case send(Answer)
        /// Everything is sent; a parked reader is to be replaced.
        case done(resumesReading: Bool)
    }
}
