// SPDX-License-Identifier: Apache-2.0
//
// The process of a manager. Clients come in through one socket (the door), each with an end of a connection it made; from then on it is their own. A handle under way between two processes is
// a socket pair: one end is here, the other in the message; the end of file says that the handle has arrived or is lost.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// The server of a manager.
final class ManagerServer: Sendable {
    let threads = ServerThreads()
    let watchdog = Watchdog()
    private let reception: Link
    private let key: UInt64
    /// How many of the manager's processes have ended before this one.
    private let number: UInt32
    /// How this process is a client of itself, for handles that come as numbers.
    private let home: ManagerHome?
    /// The manager, as handles name it.
    let identity: ManagerIdentity
    let reactor: Reactor
    private let registry: Mutex<ValueRegistry<HostedValue>>
    private let sessions = Mutex<[ObjectIdentifier: ServerSession]>([:])
    private let tokens = Mutex<[Int32: Token]>([:])
    /// The watch of the door, while it can still open.
    private let doorWatch = Mutex<Reactor.Token?>(nil)

    /// A handle under way.
    private struct Token {
        let socket: SharedDescriptor
        let watch: Reactor.Token
    }

    /// Serves until the process ends: what a manager's process does.
    static func run(_ job: ManagerJob) throws {
        // Ctrl-C is the parent's to handle, and its calls go on while it does.
        signal(SIGINT, SIG_IGN)
        // Before the first request, which may use up all descriptors.
        mp_prepare_main_queue()
        let server = try ManagerServer(job)
        served.value.server.withLock { $0 = server }
        try server.watchdog.start()
        server.welcome(job.owner)
        // For the main actor, until `shutDown` or the parent's end.
        mp_drain_main_queue()
    }

    /// The server that this process is, if it is one; a forked copy of it is none.
    private static let served = ForkLocal { Served() }

    private final class Served: Sendable {
        let server = Mutex<ManagerServer?>(nil)
    }

    /// Makes a link to the server of `manager` if this very process is that: not through the door, which is closed as long as values are made anew, and a function that makes one may need another.
    static func openLink(_ manager: ManagerIdentity) throws -> RingLink? {
        guard let server = served.value.server.withLock({ $0 }), server.identity == manager else { return nil }
        let (here, there) = try RingLink.pair(duplex: true)
        server.welcome(Connection(there))
        return here
    }

    private init(_ job: ManagerJob) throws {
        identity = job.identity
        key = job.key
        number = job.number
        home = job.home
        let reception = try job.takeReception()
        registry = Mutex(ValueRegistry(firstNumber: max(job.firstNumber, Manager.namesNumber)))
        // A copy of this process must not keep the door open.
        ForkLock.add(reception.number)
        self.reception = Link(reception)
        reactor = try Runtime.shared().reactor
        add(Hosted<Namespace.Names>([:], threads: threads), as: Manager.namesNumber)
    }

    /// Opens the door, for one who may ask for that.
    func open(key: UInt64) throws {
        guard key == self.key, doorWatch.withLock({ $0 == nil }) else { return }
        let watch = try reactor.watch(reception.socket.number) { [self] _ in welcome() }
        doorWatch.withLock { $0 = watch }
    }

    /// Ends the process for one who may ask for that. Returns only for others.
    func shutDown(key: UInt64) {
        if key == self.key { shutDown() }
    }

    /// Ends the process.
    private func shutDown() -> Never {
        // Another thread may be sending an answer at this moment.
        let deadline = Deadline(timeout: .milliseconds(200))
        for session in sessions.withLock({ Array($0.values) }) { session.sayFarewell(until: deadline) }
        exit(0)
    }

    // MARK: - Clients

    /// Lets in those who are at the door.
    private func welcome() {
        while true {
            do {
                let message: Message
                switch try reception.receive(wait: false) {
                case .message(let received): message = received
                case .unreceivable(let error):
                    // Whoever it was sees the end of file.
                    Log.write(.warning, "a manager could not let a client in: \(error)")
                    continue
                case .wouldBlock: return
                case .endOfFile: return closeDoor()
                }
                guard message.kind == .connect else {
                    throw SystemError(code: EBADMSG, operation: "receiving a client")
                }
                let userInfo = message.userInfo
                let connection = try message.withReader {
                    try WireCoding.decode(Connection.self, from: &$0, userInfo: userInfo)
                }
                welcome(connection)
            } catch {
                // Whoever it was sees the end of file.
                Log.write(.warning, "a manager could not let a client in: \(error)")
                if (error as? SystemError)?.code != EBADMSG { return }
            }
        }
    }

    /// Lets a client in.
    private func welcome(_ connection: Connection) {
        let session = ServerSession(connection.link, server: self)
        sessions.withLock { $0[ObjectIdentifier(session)] = session }
        session.greet(number)
        session.begin()
    }

    /// Forgets a client.
    func remove(_ session: ServerSession) {
        let isLast = sessions.withLock { sessions in
            sessions[ObjectIdentifier(session)] = nil
            return sessions.isEmpty
        }
        if isLast, doorWatch.withLock({ $0 == nil }) { shutDown() }
    }

    /// Notes that no process has a handle any more except those that are here already.
    private func closeDoor() {
        let watch = doorWatch.withLock { watch in
            defer { watch = nil }
            return watch
        }
        if let watch { reactor.endWatch(watch) }
        if sessions.withLock({ $0.isEmpty }) { shutDown() }
    }

    // MARK: - Values

    /// Takes in a value with one reference. Returns its number.
    func add(_ value: HostedValue) -> UInt64 {
        registry.withLock { $0.add(value) }
    }

    /// Takes in a value under a number that it had in an earlier process, with one reference.
    func add(_ value: HostedValue, as number: UInt64) {
        registry.withLock { $0.add(value, as: number) }
    }

    /// Adds a reference to a value, if it exists.
    func retain(_ number: UInt64) -> HostedValue? {
        registry.withLock { $0.retain(number) }
    }

    /// Takes references away; the value goes with its last.
    func release(_ number: UInt64, count: Int) {
        // Outside the lock: it calls the program's `deinit`.
        _ = takeLast(number, count: count)
    }

    /// Takes references away. Returns the value when they were the last, to be let go of where the program's `deinit` may be called.
    func takeLast(_ number: UInt64, count: Int) -> HostedValue? {
        registry.withLock { $0.release(number, count: count) }
    }

    /// Keeps a reference to a value for a handle under way, until the other end of `socket` is closed everywhere.
    func keep(_ number: UInt64, as socket: consuming OwnedDescriptor) {
        guard retain(number) != nil else { return }
        let token = SharedDescriptor(socket)
        do {
            try tokens.withLock { tokens in
                let watch = try reactor.watch(token.number, for: .hangUp) { [self] _ in drop(number, token.number) }
                tokens[token.number] = Token(socket: token, watch: watch)
            }
        } catch {
            Log.write(.error, "a manager cannot watch a handle under way: \(error)")
            release(number, count: 1)
        }
    }

    /// Takes in a handle that came as a number: counted from now on by what stands for it.
    func letIn(_ number: UInt64) throws -> HandleArrival {
        guard let home else { throw WireCodingError(.invalidValue, "a handle came as a number", at: 0) }
        let (ours, theirs) = try Link.pair().takeSockets()
        keep(number, as: try OwnedDescriptor(checking: mp_duplicate(theirs.number), "keeping a handle"))
        let client = ManagerClients.client(of: home.identity) {
            ManagerClient(identity: home.identity, route: .local(home.route))
        }
        return .underWay(client, ours)
    }

    /// Ends what `keep` began.
    private func drop(_ number: UInt64, _ socket: Int32) {
        guard let token = tokens.withLock({ $0.removeValue(forKey: socket) }) else { return }
        reactor.endWatch(token.watch)
        // The value's `deinit` may block, and this is the reactor's thread.
        threads.submit { [self] in release(number, count: 1) }
    }
}
