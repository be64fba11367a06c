// SPDX-License-Identifier: Apache-2.0
//
// The process of a manager, in the process that made it. It has a channel of its own to it, through which it tells it to open the door, and to end.
//
// A manager that is to be restarted gets a new process behind the same door: whoever had a channel to the old one knocks again. The values are made anew before the door opens, under the numbers they
// had; numbers of the old process that are not among them are never used again.

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// The process of a manager, in the process that made it.
final class ManagerOwner: Sendable {
    private static let count = Atomic<Int>(0)

    /// A process that serves, with the channel to it.
    struct Server: Sendable {
        let process: LaunchedProcess
        let channel: ClientChannel
        /// How many processes were started before it.
        let number: UInt64
        /// The values that were made anew in it.
        var remade: Set<UInt64> = []
    }

    private struct State {
        var server: Server?
        /// Happens when the restart is over that is under way.
        var restart: Notice?
        /// The inner end of the door, for the next process; nil when there will be none.
        var reception: SharedDescriptor?
        /// Where others than relatives ask to be let in.
        var desk: ManagerDesk?
        var restartsLeft: Int
        var restarts: UInt64 = 0
        var wasAsked = false
        /// Why it was given up, if it was.
        var failure: String?
        var makers: [UInt64: WeakMaker] = [:]
    }

    private struct WeakMaker {
        weak var maker: ValueMaker?
    }

    private let name: String
    private let identity: ManagerIdentity
    private let epitaph: Epitaph
    private let home: ManagerHome?
    private let madeIn = getpid()
    /// What the server opens the door and ends for.
    let key: UInt64
    private let state: Mutex<State>

    /// Starts the process of a manager behind `reception`, which has its end written into `epitaph`.
    ///
    /// - Parameter desk: Where others than relatives ask to be let in.
    init(
        _ identity: ManagerIdentity,
        reception: SharedDescriptor,
        epitaph: Epitaph,
        restarts: Int,
        desk: ManagerDesk?
    ) throws {
        self.identity = identity
        let number = Self.count.add(1, ordering: .relaxed).newValue  // only has to be unique
        name = "Manager-\(number)"
        var generator = SystemRandomNumberGenerator()
        key = generator.next()
        self.epitaph = epitaph
        home = desk?.home
        state = Mutex(State(server: nil, reception: reception, desk: desk, restartsLeft: restarts))
        if restarts == 0 { epitaph.endWith(0) }
        if let lost = try start(reception) { throw lost }
        if restarts == 0 { state.withLock { $0.reception = nil } }
    }

    /// Whether this process is the one that made the manager, not a copy of it.
    var isHere: Bool { madeIn == getpid() }

    /// Whether the process will be replaced when it ends.
    var mayRestart: Bool { epitaph.willRestart }

    /// The process that serves at present.
    var server: Server? { state.withLock { $0.server } }

    /// The process that serves at present or did last, and the restart that is under way.
    var present: (process: LaunchedProcess?, restart: Notice?) {
        state.withLock { ($0.server?.process, $0.restart) }
    }

    // MARK: - Starting

    /// Starts a process, makes the values in it that are to be there, and opens the door.
    ///
    /// - Returns: Why the process ended if it did so before all that was done; not what a value's function threw, which may be the end of another manager.
    private func start(_ reception: SharedDescriptor) throws -> ManagerLost? {
        // The copy that `.fork` makes of this process would run no task.
        let method = StartMethod.default == .fork ? .forkServer : StartMethod.default
        let (here, there) = try RingLink.pair(duplex: true)
        let number = state.withLock { $0.restarts }
        let serversEnd = Connection(there)
        let job = ManagerJob(
            identity,
            reception: reception,
            owner: serversEnd,
            key: key,
            firstNumber: number << ManagerJob.numberShift,
            home: home
        )
        let process = try ChildProcess(.procedure(ManagerServer.run, job), name, true, method).launch(
            wantsResult: false,
            until: .never
        )
        // Open here as well, it would keep the end of the process from ending the channel, and whoever makes values anew would wait for a dead one for ever.
        serversEnd.close()
        epitaph.begin(processIdentifier: process.processIdentifier)
        let deaths = epitaph.deaths
        let channel = ClientChannel(here, epitaph: epitaph) { [epitaph] _ in
            epitaph.read(after: deaths, within: Epitaph.timeout)
                ?? ManagerLost(.unknown, status: nil, processIdentifier: epitaph.processIdentifier)
        }
        let isWanted = state.withLock { state in
            state.server = Server(process: process, channel: channel, number: number)
            return !state.wasAsked
        }
        process.whenEnded { [weak self, epitaph, unowned process] in
            let (wasAsked, failure) = self?.state.withLock { ($0.wasAsked, $0.failure) } ?? (true, nil)
            // Decided before it is told that it has ended.
            let reception = self?.replacement()
            epitaph.write(
                process.status ?? .signaled(.kill),
                process.report,
                wasAsked: wasAsked,
                failure: failure
            )
            if let reception { self?.restart(reception) }
        }
        // Not after values were made for nothing, which may take any time.
        guard isWanted else {
            ask()
            return nil
        }
        do { try open(channel) } catch let unsent as UnsentRequest {
            return unsent.channel.lost
        } catch let lost as ManagerLost where channel.hasEnded {
            return lost
        }
        return nil
    }

    /// Makes the values anew in the process at the other end of `channel`, and lets it open the door.
    private func open(_ channel: ClientChannel) throws {
        let makers = try remake(channel)
        let isWanted = state.withLock { state in
            state.server?.remade = Set(makers.map(\.number))
            return !state.wasAsked
        }
        // One whose handle went meanwhile gives its value up now, when it is known that there is one.
        withExtendedLifetime(makers) {}
        if isWanted { try channel.tell(.open, key) } else { ask() }
    }

    /// Makes the values anew whose handles this process has, in the order in which they were made. Returns what made them.
    private func remake(_ channel: ClientChannel) throws -> [ValueMaker] {
        let makers = state.withLock { $0.makers.values.compactMap(\.maker) }.sorted { $0.number < $1.number }
        for maker in makers {
            try channel.call(.remake) { writer, userInfo in
                writer.write(maker.number)
                try maker.write(&writer, userInfo)
            } _: { _, _ in
            }
        }
        return makers
    }

    /// The process has ended. Returns the door for the next, if there is to be one.
    private func replacement() -> SharedDescriptor? {
        state.withLock { state -> SharedDescriptor? in
            guard !state.wasAsked, state.restartsLeft > 0, let reception = state.reception else {
                state.reception = nil
                epitaph.endWith(state.restarts)
                return nil
            }
            state.restartsLeft -= 1
            state.restarts += 1
            state.restart = Notice()
            return reception
        }
    }

    /// Starts another process, on a thread that may block.
    private func restart(_ reception: SharedDescriptor) {
        let notice = state.withLock { $0.restart }
        do {
            try Thread.start(name: "mp-manager", stackSize: 1 << 20) { [self] in
                // One that ends while its values are made is replaced in turn.
                do { _ = try start(reception) } catch { giveUp(error) }
                endRestart(notice)
            }
        } catch {
            giveUp(error)
            endRestart(notice)
        }
    }

    /// Notes that a restart is over, which the next may have followed already.
    private func endRestart(_ notice: Notice?) {
        state.withLock { if $0.restart === notice { $0.restart = nil } }
        notice?.post()
    }

    /// Lets go of the door: whoever knocks, or has knocked, learns that nobody is there.
    private func giveUp(_ error: any Error) {
        Log.write(.error, "\(name) could not be restarted: \(error)")
        let failure = "it could not be restarted: \(error)"
        let (server, number, desk) = state.withLock { state in
            state.failure = failure
            state.reception = nil
            epitaph.endWith(state.restarts)
            defer { state.desk = nil }
            return (state.server, state.restarts, state.desk)
        }
        desk?.close()
        if let server, server.number == number {
            // Not asked to end, which would be told as a shutdown.
            try? server.process.signal(SIGKILL)
        } else {
            // There is no process whose end could be told.
            epitaph.write(.signaled(.kill), nil, wasAsked: false, failure: failure)
        }
    }

    // MARK: - Values

    /// Notes how a value was made. Returns false when another process has taken the place of the one that made it, and makes anew only what was noted before.
    func add(_ maker: ValueMaker) -> Bool {
        state.withLock { state in
            guard state.server?.number == maker.number >> ManagerJob.numberShift else { return false }
            if state.reception != nil { state.makers[maker.number] = WeakMaker(maker: maker) }
            return true
        }
    }

    /// How a value was made, if this process hosted it and has had a handle of it ever since.
    func maker(of number: UInt64) -> ValueMaker? { state.withLock { $0.makers[number]?.maker } }

    /// Forgets a value that this process has no handle of any more.
    func forget(_ number: UInt64) {
        let channel = state.withLock { state -> ClientChannel? in
            state.makers[number] = nil
            return state.server?.remade.remove(number) == nil ? nil : state.server?.channel
        }
        channel?.release(number)
    }

    // MARK: - Ending

    /// How long to wait for room for the word that the manager is to end; who lets go of its last handle may do so anywhere.
    private static let askPatience = Duration.milliseconds(200)

    /// Notes that the end is asked for, and asks. Blocks for a moment at most.
    func ask() {
        let (server, desk) = state.withLock { state in
            state.wasAsked = true
            state.reception = nil
            epitaph.endWith(state.restarts)
            defer { state.desk = nil }
            return (state.server, state.desk)
        }
        desk?.close()
        // A manager that cannot be asked is told by a signal: also one that reads nothing of this process, because too many of its calls wait there (WaitingBudget.swift), and has left no room. Where there is some it
        // is not told before that is read, or somebody insists.
        do {
            try server?.channel.tell(.shutDown, key, until: Deadline(timeout: Self.askPatience))
        } catch {
            try? server?.process.signal(SIGTERM)
        }
    }
}

/// How a value was made that this process has a handle of, to make it again.
final class ValueMaker: Sendable {
    let number: UInt64
    private let owner: ManagerOwner
    private let body: @Sendable (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void

    /// The owner forgets the value of that number when this object goes.
    init(
        _ number: UInt64,
        _ owner: ManagerOwner,
        _ body: @escaping @Sendable (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void
    ) {
        self.number = number
        self.owner = owner
        self.body = body
    }

    deinit {
        if owner.isHere { owner.forget(number) }
    }

    /// Writes function and argument.
    func write(_ writer: inout WireWriter, _ userInfo: [CodingUserInfoKey: Any]) throws {
        try body(&writer, userInfo)
    }
}
