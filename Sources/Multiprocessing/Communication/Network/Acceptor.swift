// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// Lets peers in on behalf of a listener: takes their connections off the kernel's queue and runs their handshakes side by side, on the reactor's thread.
final class Acceptor: Sendable {
    /// A connection that stands, and who made it.
    struct Accepted: Sendable {
        let link: StreamLink
        let address: Address
    }

    typealias Outcome = Result<Accepted, any Error>

    /// How long not to look again after descriptors or memory were short.
    private static let pauseWhenShort = Duration.milliseconds(100)

    private struct State {
        var machine = AcceptStateMachine<Handshake, Outcome>(slots: 256, backlog: 128)
        var watch: Reactor.Token?
    }

    private let socket: Int32
    private let isAbstract: Bool
    private let wishes: Handshake.Wishes
    private let handshakeTimeout: Duration
    private let reactor: Reactor
    private let state = PlainMutex(State())
    private let waiting = NoticeList()
    /// The process that made it, by forks.
    private let generation = mp_fork_generation()

    /// Takes over a listening socket.
    init(
        _ socket: consuming OwnedDescriptor,
        isAbstract: Bool,
        _ wishes: Handshake.Wishes,
        handshakeTimeout: Duration
    ) throws {
        reactor = try Runtime.shared().reactor
        self.socket = socket.release()
        self.isAbstract = isAbstract
        self.wishes = wishes
        self.handshakeTimeout = handshakeTimeout
        // A forked child must not keep the address taken.
        ForkLock.add(self.socket)
    }

    /// Starts letting peers in.
    func begin() throws {
        try resume()
    }

    /// Whether this is the process that made it, and it is not closed.
    var isOpen: Bool { isOfThisProcess && !state.withLock { $0.machine.isClosed } }

    /// Whether it was made in this process and not in one that this is a fork of.
    var isOfThisProcess: Bool { generation == mp_fork_generation() }

    /// Stops, and wakes those who wait.
    func close() {
        // The fork's copy of the socket was closed by the fork.
        guard isOfThisProcess else { return }
        let (wasClosed, handshakes, watch) = state.withLock { state in
            defer { state.watch = nil }
            return (state.machine.isClosed, state.machine.close(), state.watch)
        }
        guard !wasClosed else { return }
        if let watch { reactor.endWatch(watch) }
        ForkLock.remove(socket)
        Glibc.close(socket)
        for handshake in handshakes { handshake.abort(CancellationError()) }
        waiting.post()
    }

    // MARK: - Accepting

    /// Takes what waits longest to be accepted.
    func take() -> Outcome? {
        let taken = state.withLock { $0.machine.accept() }
        if taken?.resumes == true { resumeOrTryLater() }
        return taken?.outcome
    }

    /// Whether something waits to be accepted.
    var isReady: Bool { state.withLock { $0.machine.hasOutcome || $0.machine.isClosed } }

    /// Adds a notice that is posted when something can be accepted.
    func add(_ notice: Notice) {
        waiting.add(notice)
    }

    /// Takes a notice back.
    func remove(_ notice: Notice) {
        waiting.remove(notice)
    }

    // MARK: - Letting in

    /// Watches the socket, unless that is so already.
    private func resume() throws {
        try state.withLock { state in
            guard state.watch == nil, state.machine.takesMore else { return }
            state.watch = try reactor.watch(socket) { [self] _ in letIn() }
        }
    }

    /// Watches the socket, now or, where memory is short for that, a little later: nobody else would come back to it.
    private func resumeOrTryLater() {
        do { try resume() } catch {
            Log.write(.warning, "a listener cannot go on accepting now: \(error)")
            _ = reactor.waitUntil(Deadline(timeout: Self.pauseWhenShort)) { [weak self] _ in self?.resumeOrTryLater() }
        }
    }

    /// Stops watching the socket, until somebody accepts or, with `time`, for so long.
    private func pause(for time: Duration? = nil) {
        state.withLock { state in
            // Somebody may have accepted just now, and found nothing to resume.
            guard time != nil || !state.machine.takesMore, let watch = state.watch else { return }
            state.watch = nil
            // Under the lock: a watch that is made after this one must not be ended with it, nor one of another file after `close`.
            reactor.endWatch(watch)
        }
        guard let time else { return }
        _ = reactor.waitUntil(Deadline(timeout: time)) { [weak self] _ in self?.resumeOrTryLater() }
    }

    /// Lets in who has come; a few at a time, so that nobody else who waits for the reactor is held up.
    private func letIn() {
        for _ in 0..<16 {
            // Under the lock: a number that is closed meanwhile may be another file's.
            let (number, error, address) = state.withLock { state -> (Int32, Int32, SocketAddress?) in
                guard state.machine.takesMore else { return (-1, EBUSY, nil) }
                var number: Int32 = -1
                let address = SocketAddress {
                    number = mp_accept(socket, $0, $1)
                    return number >= 0
                }
                return (number, errno, address)
            }
            guard number >= 0 else {
                if error == EBUSY { pause() }
                // Descriptors or memory are short; the peers stay in the queue, and looking again at once would be of no use.
                if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error) {
                    Log.write(.warning, "accepting connections: \(SystemError(code: error, operation: "accept"))")
                    pause(for: Self.pauseWhenShort)
                }
                return
            }
            start(OwnedDescriptor(owning: number), address)
        }
    }

    private func start(_ socket: consuming OwnedDescriptor, _ address: SocketAddress?) {
        let peer = address?.address ?? .unix(path: "")
        // Abstract names have no permissions.
        if isAbstract, wishes.key == nil, !StreamSocket.isPeerTrusted(socket.number) {
            return Log.write(.warning, "refused a connection of another user to an abstract address without a key")
        }
        let identifier = state.withLock { $0.machine.makeIdentifier() }
        let handshake = Handshake(
            socket,
            family: address?.family ?? AF_UNIX,
            as: .listener,
            wishes,
            until: Deadline(timeout: handshakeTimeout),
            on: reactor
        ) { [self] in end(identifier, $0, peer) }
        let evicted = state.withLock { $0.machine.add(handshake, identifier) }
        evicted?.abort(ConnectionError(.handshakeFailed, "too many handshakes at a time: the oldest had to make way"))
        handshake.begin()
    }

    private func end(_ identifier: UInt64, _ result: Result<StreamLink, any Error>, _ peer: Address) {
        switch result {
        case .success(let link):
            let accepted = Accepted(link: link, address: peer)
            state.withLock { $0.machine.end(identifier, .success(accepted), isFailure: false) }
        case .failure(let error):
            Log.write(.info, "no connection from \(peer): \(error)")
            let isOfKeys = (error as? ConnectionError)?.code == .authenticationFailed
            state.withLock { $0.machine.end(identifier, isOfKeys ? .failure(error) : nil, isFailure: true) }
        }
        waiting.post()
    }
}
