// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A child that was ordered from a fork server: this process' end of its link, which takes a job before there is a process to read it.
///
/// Let go of before it has a job, it ends. The slot of the order is its own as long as this is there, whatever becomes of the child meanwhile: what is decided here must not be decided about another's.
final class OrderedChild: Sendable {
    /// What is known of it.
    enum State {
        /// It is not there yet.
        case expected
        /// It is there. Told once.
        case forked(LaunchedProcess)
        /// The server could not make it.
        case failed(String)
        /// It was killed, or its server ended, before it could begin.
        case lost
    }

    /// The server it was ordered from.
    let server: ForkServerConnection
    /// The number of the order.
    let slot: Int
    /// The socket, to wait for.
    let linkNumber: Int32
    /// Nil once it has become a process, or will not.
    private let link: PlainMutex<Link?>

    /// Keeps this process' end of the link of an order.
    init(_ link: consuming Link, slot: Int, of server: ForkServerConnection) {
        linkNumber = link.socket.number
        self.link = PlainMutex(link)
        self.slot = slot
        self.server = server
    }

    deinit {
        server.letGo(slot)
    }

    /// Sends the job, to be read as soon as there is a process.
    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32]) throws(SystemError) {
        try link.withLock { link throws(SystemError) in
            guard link != nil else { return }
            try link?.send(.job, bytes, descriptors: descriptors)
        }
    }

    /// Says that the job will come in a moment: a sleeper takes as long to wake as the job to be written.
    func announceJob() {
        // What makes it fail will make the job fail.
        link.withLock { _ = try? $0?.send(.soon, wait: false) }
    }

    /// Looks whether it is there, without waiting.
    func state() -> State {
        link.withLock { stored in
            guard let link = stored.take() else { return .lost }
            switch try? link.receive(wait: false) {
            case .wouldBlock:
                stored = consume link
                return .expected
            case .message(let message): return state(after: message, consume link)
            case .unreceivable(let error):
                // It may have begun, and nobody could watch over it.
                server.page[slot] = .unwanted
                server.kill(slot)
                return .failed("its descriptor could not be received: \(error)")
            case .endOfFile, nil: return .lost
            }
        }
    }

    private func state(after message: Message, _ link: consuming Link) -> State {
        let identity: (pid: Int32?, failure: String?) = message.withReader { reader in
            switch message.kind {
            case .forked: (try? reader.read(Int32.self), nil)
            case .failed: (nil, try? reader.readString())
            default: (nil, nil)
            }
        }
        guard let pid = identity.pid, let pidfd = message.descriptors.take(0) else {
            return .failed(identity.failure ?? "it does not say who it is")
        }
        let process = LaunchedProcess(
            processIdentifier: pid,
            isOwnChild: false,
            pidfd: OwnedDescriptor(owning: pidfd),
            link: link
        )
        server.register(process, slot: slot)
        return .forked(process)
    }

    /// Whether it goes on when this process ends. Said before it gets its job, so that there is no moment at which a death of this process takes it along.
    func setSurvives(_ survives: Bool) {
        server.page[slot] = survives ? .survives : .endsWithProgram
    }

    /// Sees to it that it never begins, or ends at once.
    func giveUp() {
        // In this order: it says that it is there, then looks whether it is wanted.
        server.page[slot] = .unwanted
        if case .forked(let process) = state() { try? process.signal(SIGKILL) }
    }
}
