// SPDX-License-Identifier: Apache-2.0

/// What a program knows of its fork server: whether there is one and it is ready, which spares were ordered, who waits.
///
/// A spare is there from its order on: whoever takes one that is not forked yet hurries the server. Who finds no spare orders a child for himself; so that orders never fill the
/// server's socket, only so many of these are on their way at once. `Spare` and `Waiter` stand for what the caller keeps of them.
package struct ForkServerStateMachine<Spare, Waiter: AnyObject> {
    /// That many servers in a row without a single child, and there will be none.
    package static var maximumFailures: Int { 3 }
    /// More orders of that kind are not sent before some are answered.
    package static var maximumOutstanding: Int { 32 }

    private enum Phase {
        case absent
        case starting(generation: Int)
        case running(generation: Int)
    }

    private var phase = Phase.absent
    private var generation = 0
    /// Whether there ever was a server that was not taken back.
    private var hasStarted = false
    /// Whether nobody has asked for a child since the present server was started.
    private var isUnused = true
    private var failures = 0
    private var spares: [Spare] = []
    /// Spares that a caller is ordering at this moment.
    private var beingOrdered = 0
    /// Children that were ordered for those who found no spare, and are not there yet.
    private var outstanding = 0
    private var waiters: [Waiter] = []

    /// How many spares are to be ready when nobody waits.
    package private(set) var target: Int

    /// Creates the state of a program that has no server yet.
    package init(target: Int) {
        self.target = target
    }

    // MARK: - Taking

    /// What a start has to do.
    package enum TakeAction {
        /// Use this spare, then order so many others.
        case use(Spare, generation: Int, missing: Int)
        /// Order a child from the server of that generation.
        case order(generation: Int)
        /// Wait to be told, and ask again.
        case wait(Waiter)
        /// Start a server, then wait to be told, and ask again.
        case startServer(Waiter, generation: Int)
        /// No server lives long enough to make a child.
        case giveUp
    }

    /// A child is wanted.
    ///
    /// - Parameter isBlocking: Whether a thread stands still meanwhile. It does not wait for the starts of others: those may be tasks that need this very thread to go on.
    package mutating func take(isBlocking: Bool = false, waiter: @autoclosure () -> Waiter) -> TakeAction {
        defer { isUnused = false }
        switch phase {
        case .absent:
            guard failures < Self.maximumFailures else {
                failures = 0
                return .giveUp
            }
            let waiter = waiter()
            waiters.append(waiter)
            return .startServer(waiter, generation: begin())
        case .starting:
            return .wait(enqueue(waiter()))
        case .running(let generation):
            if !spares.isEmpty {
                let spare = spares.removeFirst()
                // While half of them are left there is time until a child ends: the server is not to be woken now, when the child that gets its job needs the processor.
                return .use(spare, generation: generation, missing: 2 * spares.count >= target ? 0 : missing())
            }
            guard isBlocking || outstanding < Self.maximumOutstanding else { return .wait(enqueue(waiter())) }
            outstanding += 1
            return .order(generation: generation)
        }
    }

    /// A server is wanted, though no child yet. Returns the generation of the one to start.
    ///
    /// - Parameter first: Only when there never was one. Whether another is of any use is decided when a child is wanted.
    package mutating func start(first: Bool = false) -> Int? {
        guard case .absent = phase, !first || !hasStarted else { return nil }
        return begin()
    }

    private mutating func begin() -> Int {
        generation += 1
        phase = .starting(generation: generation)
        (hasStarted, isUnused) = (true, true)
        (outstanding, beingOrdered) = (0, 0)
        return generation
    }

    private mutating func enqueue(_ waiter: Waiter) -> Waiter {
        waiters.append(waiter)
        return waiter
    }

    /// Notes that the spares that are missing are ordered now, and returns how many.
    private mutating func missing() -> Int {
        let missing = max(0, target - spares.count - beingOrdered)
        beingOrdered += missing
        return missing
    }

    /// A child of the server of that generation has ended. Returns how many spares to order now.
    package mutating func childEnded(generation: Int) -> Int {
        guard case .running(generation) = phase else { return 0 }
        return missing()
    }

    /// A spare that was missing was ordered, or could not be. Returns false when it is of no use any more.
    package mutating func ordered(_ spare: Spare?, generation: Int) -> Bool {
        guard case .running(generation) = phase else { return false }
        beingOrdered -= 1
        guard let spare, spares.count < target else { return false }
        spares.append(spare)
        return true
    }

    /// An order for somebody who had found no spare was answered, or he waits no longer. Returns who may ask again.
    package mutating func answered(generation: Int) -> Waiter? {
        guard case .running(generation) = phase else { return nil }
        outstanding -= 1
        return waiters.isEmpty ? nil : waiters.removeFirst()
    }

    /// A spare was used. Returns who may ask again: one who waited for an answer, and was told of it, may have taken that spare instead of ordering, and then there is no answer to his order.
    package mutating func used(generation: Int) -> Waiter? {
        guard case .running(generation) = phase, !waiters.isEmpty else { return nil }
        return waiters.removeFirst()
    }

    /// An order could not be sent, for the orders of others fill the server's socket; these are not bounded where threads wait for them. Whoever wanted it asks again when one of them is answered.
    ///
    /// - Returns: False when there is no other order whose answer could tell him.
    package mutating func postponed(_ waiter: Waiter, generation: Int) -> Bool {
        guard case .running(generation) = phase, outstanding > 1 else { return false }
        outstanding -= 1
        waiters.append(waiter)
        return true
    }

    /// A child of the server of that generation is there.
    package mutating func forked(generation: Int) {
        if isCurrent(generation) { failures = 0 }
    }

    /// Somebody does not wait any longer. Returns who may ask again in his place, if he had been told to.
    package mutating func abandon(_ waiter: Waiter) -> Waiter? {
        if let index = waiters.firstIndex(where: { $0 === waiter }) {
            waiters.remove(at: index)
            return nil
        }
        guard case .running = phase, outstanding < Self.maximumOutstanding, !waiters.isEmpty else { return nil }
        return waiters.removeFirst()
    }

    /// The target has changed. Returns how many spares to order, from which server, and which ones are too many.
    package mutating func setTarget(_ target: Int) -> (missing: Int, generation: Int, surplus: [Spare]) {
        self.target = target
        guard case .running(let generation) = phase else { return (0, 0, []) }
        let surplus = Array(spares.dropFirst(target))
        spares.removeLast(surplus.count)
        return (missing(), generation, surplus)
    }

    // MARK: - What becomes of the server

    /// The server is ready. Returns who waits for it, and how many spares to order.
    package mutating func ready(generation: Int) -> (waiters: [Waiter], missing: Int) {
        guard case .starting(generation) = phase else { return ([], 0) }
        phase = .running(generation: generation)
        return (takeWaiters(), missing())
    }

    /// The server of that generation has ended, or takes no orders any more. Its spares are of no use.
    ///
    /// - Parameter forGood: Whether another would end in the same way; then those who waited are told so.
    /// - Returns: Who waited; unless it is for good they ask again. And its spares.
    package mutating func ended(generation: Int, forGood: Bool) -> (waiters: [Waiter], spares: [Spare]) {
        guard isCurrent(generation) else { return ([], []) }
        failures = forGood ? 0 : failures + 1
        return leave()
    }

    /// The server of that generation is to make no further children; those that it has go on. Returns its spares.
    package mutating func retire(generation: Int) -> (waiters: [Waiter], spares: [Spare]) {
        guard case .running(generation) = phase else { return ([], []) }
        return leave()
    }

    /// The child for which the server of that generation was started, the first one, is not wanted after all. Returns whether nobody else has asked for one either: then it is to end, as if there had never been one.
    package mutating func takeBackStart(generation: Int) -> Bool {
        guard isUnused, isCurrent(generation) else { return false }
        hasStarted = false
        _ = leave()
        return true
    }

    private mutating func leave() -> (waiters: [Waiter], spares: [Spare]) {
        phase = .absent
        defer { spares = [] }
        return (takeWaiters(), spares)
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

    private mutating func takeWaiters() -> [Waiter] {
        defer { waiters = [] }
        return waiters
    }
}
