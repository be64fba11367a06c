// SPDX-License-Identifier: Apache-2.0

/// What a listener knows: which handshakes run, and which have ended and wait for somebody to accept them. Pure.
///
/// A peer that says nothing takes one of so many slots. When all are taken the oldest makes way: honest peers need milliseconds, so it is one that says nothing.
package struct AcceptStateMachine<Handshake, Outcome> {
    private let slots: Int
    private let backlog: Int
    private var nextIdentifier: UInt64 = 1
    private var handshakes: [UInt64: Handshake] = [:]
    private var outcomes: [(outcome: Outcome, isFailure: Bool)] = []
    private(set) package var isClosed = false

    /// Creates the state of a listener.
    ///
    /// - Parameters:
    ///   - slots: The most handshakes at a time.
    ///   - backlog: The most connections that stand and nobody has accepted.
    package init(slots: Int, backlog: Int) {
        self.slots = slots
        self.backlog = backlog
    }

    /// Whether another peer may be let in.
    package var takesMore: Bool { !isClosed && outcomes.count < backlog }

    /// Whether a connection can be accepted.
    package var hasOutcome: Bool { !outcomes.isEmpty }

    /// How many handshakes run.
    package var handshakeCount: Int { handshakes.count }

    /// A number for the next handshake.
    package mutating func makeIdentifier() -> UInt64 {
        defer { nextIdentifier += 1 }
        return nextIdentifier
    }

    /// Adds a handshake. Returns the one that has to make way for it, if any.
    package mutating func add(_ handshake: Handshake, _ identifier: UInt64) -> Handshake? {
        let oldest = handshakes.count < slots ? nil : handshakes.keys.min()
        handshakes[identifier] = handshake
        return oldest.flatMap { handshakes.removeValue(forKey: $0) }
    }

    /// Notes the end of a handshake. An outcome, if there is one, waits to be accepted; failures only as long as there are few.
    package mutating func end(_ identifier: UInt64, _ outcome: Outcome?, isFailure: Bool) {
        handshakes[identifier] = nil
        guard let outcome, !isClosed else { return }
        if isFailure, outcomes.lazy.filter(\.isFailure).count >= min(16, backlog) { return }
        outcomes.append((outcome, isFailure))
    }

    /// Takes what waits longest, and says whether others can be let in now that could not be before.
    package mutating func accept() -> (outcome: Outcome, resumes: Bool)? {
        guard !outcomes.isEmpty else { return nil }
        let didTakeMore = takesMore
        return (outcomes.removeFirst().outcome, !didTakeMore && takesMore)
    }

    /// Ends everything. Returns the handshakes under way.
    package mutating func close() -> [Handshake] {
        isClosed = true
        outcomes = []
        defer { handshakes = [:] }
        return Array(handshakes.values)
    }
}
