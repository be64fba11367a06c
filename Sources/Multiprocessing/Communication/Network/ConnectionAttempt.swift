// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// An attempt to reach a listener: looking up its name, connecting to one of its addresses after the other, and the handshake. Driven by the reactor; who waits for it waits for its notice.
final class ConnectionAttempt: Sendable {
    private struct State {
        var candidates: [SocketAddress] = []
        var lastError: (any Error)?
        var handshake: Handshake?
        var result: Result<StreamLink, any Error>?
    }

    private let address: Address
    private let wishes: Handshake.Wishes
    private let deadline: Deadline
    private let reactor: Reactor
    private let state = PlainMutex(State())

    /// Posted when there is a result.
    let notice = Notice()

    init(to address: Address, _ wishes: Handshake.Wishes, until deadline: Deadline) throws {
        self.address = address
        self.wishes = wishes
        self.deadline = deadline
        reactor = try Runtime.shared().reactor
        if wishes.key != nil { try MessageAuthentication.requireAvailable() }
    }

    /// Begins. A name is looked up on a thread of its own, for as long as that takes.
    func begin() throws {
        do {
            proceed(with: try SocketAddress.resolve(address, isNumeric: true))
        } catch {
            guard let host = address.host, !host.isEmpty, (1...65535).contains(address.port ?? 0) else { throw error }
            try Thread.start(name: "mp-resolve") { [self] in
                do {
                    proceed(with: try SocketAddress.resolve(address))
                } catch {
                    end(.failure(error))
                }
            }
        }
    }

    /// Gives up; what comes later is dropped.
    func abort() {
        end(.failure(CancellationError()))
    }

    /// The result, once `notice` was posted.
    func result() throws -> StreamLink? {
        try state.withLock { $0.result }?.get()
    }

    // MARK: - Steps

    private func proceed(with candidates: [SocketAddress]) {
        state.withLock { $0.candidates = candidates }
        connectToNext()
    }

    private func connectToNext() {
        let (next, error) = state.withLock { state in
            let hasEnded = state.result != nil || state.candidates.isEmpty
            return (hasEnded ? nil : state.candidates.removeFirst(), state.lastError)
        }
        guard let next else {
            return end(.failure(error ?? ConnectionError(.invalidAddress, "nothing was found at \(address)")))
        }
        do {
            try connect(to: next, StreamSocket.make(for: next))
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        state.withLock { $0.lastError = error }
        connectToNext()
    }

    private func connect(to candidate: SocketAddress, _ socket: consuming OwnedDescriptor) throws {
        let number = socket.number
        if candidate.withPointer({ Glibc.connect(number, $0, $1) }) == 0 { return shake(socket, candidate) }
        switch errno {
        case EINPROGRESS:
            let kept = SharedSocket(socket)
            _ = try reactor.waitOnce(number, for: .writable, until: deadline) { [self] event in
                guard let socket = kept.take() else { return }
                if event == .deadline {
                    return end(.failure(TimeoutError(operation: "connecting to \(address)", timeout: .zero)))
                }
                let error = StreamSocket.pendingError(of: socket.number)
                guard error == 0 else {
                    return fail(SystemError(code: error, operation: "connecting to \(address)"))
                }
                shake(socket, candidate)
            }
        case EAGAIN:
            guard !deadline.hasPassed else { throw TimeoutError(operation: "connecting to \(address)", timeout: .zero) }
            // The queue of a Unix listener is full, and nothing tells when it is not.
            let kept = SharedSocket(socket)
            _ = reactor.waitUntil(min(deadline, Deadline(timeout: .milliseconds(5)))) { [self] _ in
                guard let socket = kept.take(), state.withLock({ $0.result == nil }) else { return }
                do { try connect(to: candidate, socket) } catch { fail(error) }
            }
        default:
            throw SystemError("connecting to \(address)")
        }
    }

    private func shake(_ socket: consuming OwnedDescriptor, _ candidate: SocketAddress) {
        let handshake = Handshake(
            socket,
            family: candidate.family,
            as: .connector,
            wishes,
            until: deadline,
            on: reactor
        ) { [self] in end($0) }
        let hasEnded = state.withLock { state in
            if state.result == nil { state.handshake = handshake }
            return state.result != nil
        }
        if hasEnded { handshake.abort(CancellationError()) } else { handshake.begin() }
    }

    private func end(_ result: Result<StreamLink, any Error>) {
        let handshake = state.withLock { state -> Handshake? in
            guard state.result == nil else { return nil }
            state.result = result
            defer { state.handshake = nil }
            return state.handshake
        }
        handshake?.abort(CancellationError())
        notice.post()
    }
}

/// A socket on its way into a handler, which takes it; closed if that never comes.
private final class SharedSocket: Sendable {
    private let number: Atomic<Int32>

    init(_ socket: consuming OwnedDescriptor) {
        number = Atomic(socket.release())
    }

    /// Hands it over, once.
    func take() -> OwnedDescriptor? {
        let taken = number.exchange(-1, ordering: .acquiringAndReleasing)
        return taken >= 0 ? OwnedDescriptor(owning: taken) : nil
    }

    deinit {
        let left = number.load(ordering: .relaxed)
        if left >= 0 { close(left) }
    }
}
