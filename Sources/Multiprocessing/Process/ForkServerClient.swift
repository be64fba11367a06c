// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The program's side of its fork server: starts it, orders children from it, starts another when it dies.
///
/// No call waits for the server: who has to is told for what.
final class ForkServerClient: Sendable {
    /// One who waits until the server takes his order; then he asks again.
    final class Waiter: Sendable {
        let notice = Notice()
        private let stored = PlainMutex<ProcessError?>(nil)

        /// Why there will be no child; nil: ask again.
        var failure: ProcessError? { stored.withLock { $0 } }

        /// Lets him go.
        fileprivate func tell(_ failure: ProcessError?) {
            stored.withLock { $0 = failure }
            notice.post()
        }
    }

    /// What has to be done for others once a child is there, or will not be.
    enum Debt {
        /// One order less is on its way.
        case order
        /// So many spares are to be ordered.
        case spares(Int)
    }

    /// What one gets who wants a child.
    enum Offer {
        /// A spare, which may not be there yet. The debt is to be settled.
        case spare(OrderedChild, Debt)
        /// A child that was ordered now. The debt is to be settled.
        case ordered(OrderedChild, Debt)
        /// Nothing yet.
        case wait(Waiter)
    }

    private typealias Machine = ForkServerStateMachine<OrderedChild, Waiter>

    private struct State {
        var machine: Machine
        var server: ForkServerConnection?
        /// A process that is to be the first server.
        var prepared: ServerProcess?
        /// The functions to run in a new server, encoded.
        var preloads: [[UInt8]] = []
    }

    private let state: PlainMutex<State>
    private let reactor: Reactor

    /// Creates the client of a server that is started at the first need.
    ///
    /// - Parameter prepared: A process that is to be the first one; its rights are those of now.
    init(reactor: Reactor, spares: Int, prepared: ServerProcess?) {
        self.reactor = reactor
        state = PlainMutex(State(machine: ForkServerStateMachine(target: spares), prepared: prepared))
    }

    // MARK: - Taking a child

    /// Asks for a child. Does not wait, but for the kernel to start a server.
    ///
    /// - Throws: `ProcessError` when there can be none, `SystemError` when descriptors are short.
    func take(isBlocking: Bool) throws -> Offer {
        while true {
            let (retired, action, server) = state.withLock { state in
                var retired: [Waiter] = []
                // A program that gave up rights after the start of its server must not have children with those rights.
                if let server = state.server, server.credentials != Credentials.current {
                    retired = state.machine.retire(generation: server.generation).waiters
                    state.server = nil
                }
                return (retired, state.machine.take(isBlocking: isBlocking, waiter: Waiter()), state.server)
            }
            for waiter in retired { waiter.tell(nil) }
            switch action {
            case .use(let spare, _, let missing): return .spare(spare, .spares(missing))
            case .order(let generation):
                if let offer = try order(from: server, generation) { return offer }
            case .wait(let waiter): return .wait(waiter)
            case .startServer(let waiter, let generation):
                try startServer(generation)
                return .wait(waiter)
            case .giveUp:
                throw ProcessError(
                    .serverFailed,
                    "the fork server failed: it ended again and again before it made a child"
                )
            }
        }
    }

    /// Orders a child that somebody waits for. Returns nil when the server is gone, so that another is needed.
    private func order(from server: ForkServerConnection?, _ generation: Int) throws -> Offer? {
        do {
            do {
                if let child = try server?.order(isAwaited: true) { return .ordered(child, .order) }
            } catch let error as SystemError where error.code == EAGAIN {
                let waiter = Waiter()
                if state.withLock({ $0.machine.postponed(waiter, generation: generation) }) { return .wait(waiter) }
                // What fills the socket are orders that nobody waits for, of spares: they are read at once.
                if let child = try server?.order(isAwaited: true, wait: true) { return .ordered(child, .order) }
            }
        } catch {
            state.withLock { $0.machine.answered(generation: generation) }?.tell(nil)
            throw error
        }
        dismiss(generation)
        return nil
    }

    /// Does what a start that got its child, or gives up, owes to others.
    func settle(_ debt: Debt, _ server: ForkServerConnection, hasForked: Bool) {
        let next = state.withLock { state -> Waiter? in
            if hasForked { state.machine.forked(generation: server.generation) }
            switch debt {
            case .order: return state.machine.answered(generation: server.generation)
            case .spares: return state.machine.used(generation: server.generation)
            }
        }
        next?.tell(nil)
        if case .spares(let count) = debt { orderSpares(count, from: server) }
    }

    private func orderSpares(_ count: Int, from server: ForkServerConnection) {
        for _ in 0..<count {
            let spare: OrderedChild?
            do {
                spare = try server.order(isAwaited: false)
                if spare == nil { return dismiss(server.generation) }
            } catch {
                // Without descriptors there is no spare; the next start may find some.
                spare = nil
            }
            // One that is too many is let go of by not being kept.
            _ = state.withLock { $0.machine.ordered(spare, generation: server.generation) }
        }
    }

    /// Somebody does not wait any longer.
    func abandon(_ waiter: Waiter) {
        state.withLock { $0.machine.abandon(waiter) }?.tell(nil)
    }

    /// A server that takes no orders is replaced.
    private func dismiss(_ generation: Int) {
        let ended = state.withLock { state in
            if state.server?.generation == generation { state.server = nil }
            return state.machine.ended(generation: generation, forGood: false)
        }
        for waiter in ended.waiters { waiter.tell(nil) }
    }

    // MARK: - The server

    /// Starts the server now, if there is none.
    ///
    /// - Parameter first: Only when there never was one.
    /// - Returns: The generation of the one that was started.
    @discardableResult
    func start(first: Bool = false) throws -> Int? {
        guard let generation = state.withLock({ $0.machine.start(first: first) }) else { return nil }
        try startServer(generation)
        return generation
    }

    /// Ends the server of that generation, which was started for a child that will not be, unless somebody else has asked for one: it has none of what the program may still say before its first child.
    func takeBackStart(_ generation: Int) {
        let server = state.withLock { state -> ForkServerConnection? in
            guard state.machine.takeBackStart(generation: generation) else { return nil }
            defer { state.server = nil }
            return state.server
        }
        server?.endUnused()
    }

    private func startServer(_ generation: Int) throws {
        do {
            let (prepared, preloads) = state.withLock { state in
                defer { state.prepared = nil }
                return (state.prepared, state.preloads)
            }
            let process = try prepared ?? ServerProcess()
            let server = ForkServerConnection(process, generation: generation, reactor: reactor) { [weak self] in
                self?.handle($0, from: $1)
            }
            // It may be ready, or gone, as soon as it was told to serve.
            state.withLock { $0.server = server }
            try server.begin(preloads)
            Log.write(.info, "started the fork server (pid \(server.processIdentifier))")
        } catch {
            let failure = ProcessError(.serverFailed, "the fork server could not be started: \(error)")
            let ended = state.withLock { state in
                if state.server?.generation == generation { state.server = nil }
                return state.machine.ended(generation: generation, forGood: true)
            }
            for waiter in ended.waiters { waiter.tell(failure) }
            throw failure
        }
    }

    /// Called on the reactor's thread.
    private func handle(_ event: ForkServerConnection.Event, from server: ForkServerConnection) {
        switch event {
        case .ready:
            let ready = state.withLock { $0.machine.ready(generation: server.generation) }
            for waiter in ready.waiters { waiter.tell(nil) }
            orderSpares(ready.missing, from: server)
        case .childEnded:
            orderSpares(state.withLock { $0.machine.childEnded(generation: server.generation) }, from: server)
        case .ended where server.isUnused: break
        case .ended(let reason):
            let ended = state.withLock { state in
                if state.server === server { state.server = nil }
                return state.machine.ended(generation: server.generation, forGood: reason != nil)
            }
            Log.write(
                .warning,
                "the fork server (pid \(server.processIdentifier)) ended\(reason.map { ": " + $0 } ?? "")"
            )
            let failure = reason.map { ProcessError(.serverFailed, "the fork server failed: \($0)") }
            for waiter in ended.waiters { waiter.tell(failure) }
        }
    }

    // MARK: - Settings

    /// How many spares are kept ready.
    var spares: Int {
        get { state.withLock { $0.machine.target } }
        set {
            let (change, server) = state.withLock { ($0.machine.setTarget(newValue), $0.server) }
            // Those that are too many are let go of here.
            if let server, change.missing > 0 { orderSpares(change.missing, from: server) }
        }
    }

    /// The pid of the server, while there is one.
    var processIdentifier: Int32? {
        state.withLock { $0.machine.isRunning ? $0.server?.processIdentifier : nil }
    }

    /// Adds a function that a new server runs before it forks.
    ///
    /// - Throws: `ProcessError` when the server runs already.
    func addPreload(_ function: [UInt8]) throws {
        try state.withLock { state in
            guard !state.machine.isRunning else {
                throw ProcessError(
                    .serverFailed,
                    "ForkServer.preload must be called before the first child is started: the server runs already"
                )
            }
            state.preloads.append(function)
        }
    }
}
