// SPDX-License-Identifier: Apache-2.0

/// What a program knows of its fork server: whether there is one, which spares are ready, who waits for one.
///
/// A server is ordered spares; each start takes one. `Spare` and `Waiter` stand for what the caller keeps of them.
package struct ForkServerStateMachine<Spare, Waiter> {
    /// Without a single spare from that many servers in a row there will be none.
    package static var maximumFailures: Int { 3 }

    private enum Phase {
        case absent
        case starting(generation: Int)
        case running(generation: Int)
    }

    private var phase = Phase.absent
    private var generation = 0
    private var failures = 0
    private var spares: [Spare] = []
    /// Spares that were ordered and have not arrived: those for waiters, and those to be kept ready.
    private var orderedForWaiters = 0
    private var orderedReady = 0
    private var waiters: [Waiter] = []

    /// How many spares are to be ready when nobody waits.
    package var target: Int

    /// Creates the state of a program that has no server yet.
    package init(target: Int) {
        self.target = target
    }

    // MARK: - Taking

    /// Spares to be ordered: those that somebody waits for, and those to be kept ready.
    package struct Order: Equatable {
        package var wanted = 0
        package var ready = 0

        /// Creates an order.
        package init(wanted: Int = 0, ready: Int = 0) {
            self.wanted = wanted
            self.ready = ready
        }

        /// Whether there is nothing to order.
        package var isEmpty: Bool { wanted == 0 && ready == 0 }
    }

    /// What a start has to do.
    package enum TakeAction {
        /// Use this spare, and order those.
        case use(Spare, Order)
        /// Order those; the waiter will be told.
        case wait(Order)
        /// Start a server, tell how that went, and ask again.
        case startServer(generation: Int)
    }

    /// A child is wanted.
    package mutating func take(waiter: @autoclosure () -> Waiter) -> TakeAction {
        switch phase {
        case .absent:
            generation += 1
            phase = .starting(generation: generation)
            orderedForWaiters = 0
            orderedReady = 0
            return .startServer(generation: generation)
        case .starting:
            // Ordered with all others once the server is there.
            waiters.append(waiter())
            return .wait(Order())
        case .running:
            guard spares.isEmpty else { return .use(spares.removeFirst(), missing()) }
            waiters.append(waiter())
            return .wait(missing())
        }
    }

    /// The server is there. Returns what to order.
    package mutating func started(generation: Int) -> Order {
        guard case .starting(generation) = phase else { return Order() }
        phase = .running(generation: generation)
        return missing()
    }

    /// Notes that what is missing is ordered now, and returns it.
    private mutating func missing() -> Order {
        let wanted = max(0, waiters.count - orderedForWaiters)
        let ready = max(0, target - spares.count - orderedReady)
        orderedForWaiters += wanted
        orderedReady += ready
        return Order(wanted: wanted, ready: ready)
    }

    /// The target has changed. Returns what to order.
    package mutating func setTarget(_ target: Int) -> Order {
        self.target = target
        guard case .running = phase else { return Order() }
        return missing()
    }

    /// The server could not be started. Returns who waited for it.
    package mutating func startFailed(generation: Int) -> [Waiter] {
        guard isCurrent(generation) else { return [] }
        phase = .absent
        return takeWaiters()
    }

    // MARK: - What the server does

    /// What to do with a spare that arrived.
    package enum ArrivalAction {
        /// Give it to one who waits.
        case give(Waiter)
        /// It is kept.
        case keep
        /// It is of an earlier server.
        case drop
    }

    /// A spare has arrived from the server of that generation.
    package mutating func arrived(_ spare: @autoclosure () -> Spare, generation: Int) -> ArrivalAction {
        guard case .running(generation) = phase else { return .drop }
        noteAnswer()
        failures = 0
        guard waiters.isEmpty else { return .give(waiters.removeFirst()) }
        spares.append(spare())
        return .keep
    }

    /// A fork failed in the server. Returns who is to be told: the one who has waited longest.
    package mutating func forkFailed(generation: Int) -> Waiter? {
        guard case .running(generation) = phase else { return nil }
        noteAnswer()
        return waiters.isEmpty ? nil : waiters.removeFirst()
    }

    /// The server of that generation has ended. Its spares are of no use any more.
    ///
    /// - Returns: Who waited, and whether they should try once more.
    package mutating func ended(generation: Int, forGood: Bool) -> (waiters: [Waiter], tryAgain: Bool, spares: [Spare])
    {
        guard isCurrent(generation) else { return ([], true, []) }
        phase = .absent
        failures += 1
        let tryAgain = !forGood && failures < Self.maximumFailures
        if !tryAgain { failures = 0 }
        defer { spares = [] }
        return (takeWaiters(), tryAgain, spares)
    }

    /// The server of that generation is to make no further children; those that it has go on. Only for a server that nobody waits for is that possible at once.
    package mutating func retire(generation: Int) {
        guard case .running(generation) = phase, waiters.isEmpty else { return }
        phase = .absent
        spares = []
    }

    /// Whether a server runs, or is about to.
    package var isRunning: Bool {
        if case .absent = phase { false } else { true }
    }

    private func isCurrent(_ generation: Int) -> Bool {
        switch phase {
        case .absent: false
        case .starting(let current), .running(let current): current == generation
        }
    }

    /// The server answers orders for waiters first.
    private mutating func noteAnswer() {
        if orderedForWaiters > 0 { orderedForWaiters -= 1 } else { orderedReady = max(0, orderedReady - 1) }
    }

    private mutating func takeWaiters() -> [Waiter] {
        defer { waiters = [] }
        return waiters
    }
}
