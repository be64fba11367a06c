// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// The program's side of its fork server: starts it, takes children from it, learns of their ends, starts another when it dies.
final class ForkServerClient: Sendable {
    /// A child that waits for a job.
    struct Spare: Sendable {
        let process: LaunchedProcess
        let server: ForkServerConnection
    }

    /// One who waits for a child.
    final class Waiter: Sendable {
        let notice = Notice()
        /// Nil in it: ask again.
        let answer = PlainMutex<Result<Spare?, ProcessError>?>(nil)

        func give(_ result: Result<Spare?, ProcessError>) {
            answer.withLock { $0 = result }
            notice.post()
        }
    }

    private struct State {
        var machine: ForkServerStateMachine<Spare, Waiter>
        var server: ForkServerConnection?
        /// The functions to run in a new server, encoded.
        var preloads: [[UInt8]] = []
    }

    private let state: PlainMutex<State>
    private let reactor: Reactor

    /// Creates the client of a server that is started at the first need.
    init(reactor: Reactor, spares: Int) {
        self.reactor = reactor
        state = PlainMutex(State(machine: ForkServerStateMachine(target: spares)))
    }

    // MARK: - Taking a child

    /// Gets a child that waits for its job, gives it the job by `use`, and then orders what has to be replaced: in that order, since a fork takes time from the child that has work.
    ///
    /// Blocks while the server forks a child.
    func take(_ use: (LaunchedProcess) throws -> Void) throws -> LaunchedProcess {
        while true {
            let waiter = Waiter()
            let (action, server) = state.withLock { state in
                // A program that gave up rights after the start of its server must not have children with those rights.
                if let server = state.server, server.credentials != Credentials.current {
                    state.machine.retire(generation: server.generation)
                    state.server = nil
                }
                return (state.machine.take(waiter: waiter), state.server)
            }
            switch action {
            case .use(let spare, let order):
                defer { spare.server.order(order) }
                try use(spare.process)
                return spare.process
            case .wait(let order):
                server?.order(order)
                _ = waiter.notice.wait(until: .never)
                guard let spare = try waiter.answer.withLock({ $0 })?.get() else { continue }
                try use(spare.process)
                return spare.process
            case .startServer(let generation):
                try startServer(generation)
            }
        }
    }

    /// Starts the server now, if there is none, and orders its spares.
    func start() throws {
        guard !state.withLock({ $0.machine.isRunning }) else { return }
        let waiter = Waiter()
        guard case .startServer(let generation) = state.withLock({ $0.machine.take(waiter: waiter) }) else { return }
        try startServer(generation)
    }

    private func startServer(_ generation: Int) throws {
        do {
            let preloads = state.withLock { $0.preloads }
            let server = try ForkServerConnection(generation: generation, reactor: reactor) { [weak self] in
                self?.handle($0, from: $1)
            }
            try server.begin(preloads)
            let order = state.withLock { state in
                state.server = server
                return state.machine.started(generation: generation)
            }
            server.order(order)
            Log.write(.info, "started the fork server (pid \(server.processIdentifier))")
        } catch {
            let failure = ProcessError(.serverFailed, "the fork server could not be started: \(error)")
            for waiter in state.withLock({ $0.machine.startFailed(generation: generation) }) {
                waiter.give(.failure(failure))
            }
            throw failure
        }
    }

    // MARK: - Settings

    /// How many spares are kept ready.
    var spares: Int {
        get { state.withLock { $0.machine.target } }
        set {
            let (order, server) = state.withLock { ($0.machine.setTarget(newValue), $0.server) }
            server?.order(order)
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

    // MARK: - What the server tells

    /// Called on the reactor's thread.
    private func handle(_ event: ForkServerConnection.Event, from server: ForkServerConnection) {
        switch event {
        case .spare(let process):
            let spare = Spare(process: process, server: server)
            if case .give(let waiter) = state.withLock({ $0.machine.arrived(spare, generation: server.generation) }) {
                waiter.give(.success(spare))
            }
        case .forkFailed(let reason):
            let failure = ProcessError(.startFailed, "the fork server could not make a child: \(reason)")
            state.withLock { $0.machine.forkFailed(generation: server.generation) }?.give(.failure(failure))
        case .ended(let reason):
            let ended = state.withLock { state in
                if state.server === server { state.server = nil }
                return state.machine.ended(generation: server.generation, forGood: reason != nil)
            }
            Log.write(
                .warning,
                "the fork server (pid \(server.processIdentifier)) ended\(reason.map { ": " + $0 } ?? "")"
            )
            let failure = ProcessError(
                .serverFailed,
                "the fork server failed: \(reason ?? "it ended again and again before it made a child")"
            )
            for waiter in ended.waiters { waiter.give(ended.tryAgain ? .success(nil) : .failure(failure)) }
        }
    }
}
