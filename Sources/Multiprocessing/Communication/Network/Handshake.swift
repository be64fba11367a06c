// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import Synchronization

/// A handshake under way: a socket, one end's part of the protocol, and a deadline. It runs on the reactor's thread, beside all others; no thread waits for it.
final class Handshake: Sendable {
    /// What both ends want of each other.
    struct Wishes: Sendable {
        var key: AuthenticationKey?
        var messageLimit: Int

        /// The greeting of an end that wants this.
        func greeting(as role: Greeting.Role, carriesDescriptors: Bool) -> Greeting {
            Greeting(
                role: role,
                hasKey: key != nil,
                carriesDescriptors: carriesDescriptors,
                build: Build.identity,
                messageLimit: messageLimit,
                nonce: RandomBytes.make(32)
            )
        }
    }

    typealias Completion = @Sendable (Result<StreamLink, any Error>) -> Void

    private struct State {
        var machine: HandshakeStateMachine
        var token: Reactor.Token?
        /// Nil once it has ended.
        var completion: Completion?
    }

    private let socket: Int32
    private let isUnix: Bool
    private let wishes: Wishes
    private let own: Greeting
    private let deadline: Deadline
    private let reactor: Reactor
    private let state: PlainMutex<State>

    /// Prepares the handshake over a connected socket, which becomes its own.
    ///
    /// - Parameter completion: Called once, on any thread, not under a lock of this object.
    init(
        _ socket: consuming OwnedDescriptor,
        family: Int32,
        as role: Greeting.Role,
        _ wishes: Wishes,
        until deadline: Deadline,
        on reactor: Reactor,
        completion: @escaping Completion
    ) {
        isUnix = family == AF_UNIX
        // Handles are memory that both ends write to: only for those who could write to this process anyway.
        let carriesDescriptors = isUnix && StreamSocket.isPeerTrusted(socket.number)
        self.socket = socket.release()
        self.wishes = wishes
        self.deadline = deadline
        self.reactor = reactor
        own = wishes.greeting(as: role, carriesDescriptors: carriesDescriptors)
        state = PlainMutex(State(machine: HandshakeStateMachine(own: own, key: wishes.key), completion: completion))
        StreamSocket.prepare(self.socket, family: family)
    }

    deinit {
        // -1 after success: the link has it then. Relaxed: nobody else is left.
        if isOwner.load(ordering: .relaxed) { close(socket) }
    }

    /// Whether the socket is still this object's.
    private let isOwner = Atomic<Bool>(true)

    /// Says the first word and waits for the other end's.
    func begin() {
        let opening = state.withLock { $0.machine.opening }
        guard StreamSocket.sendAtOnce(opening, to: socket) else {
            return end(.failure(ConnectionError(.handshakeFailed, "the other end closed the connection at once")))
        }
        wait()
    }

    /// Gives up.
    func abort(_ error: any Error) {
        end(.failure(error))
    }

    // MARK: - On the reactor's thread

    private func wait() {
        do {
            let token = try reactor.waitOnce(socket, until: deadline) { [self] event in
                switch event {
                case .readable: receive()
                case .deadline:
                    end(.failure(TimeoutError(operation: "the other end's part of the handshake", timeout: .zero)))
                }
            }
            let hasEnded = state.withLock { state in
                state.token = token
                return state.completion == nil
            }
            if hasEnded { reactor.cancel(token) }
        } catch {
            end(.failure(error))
        }
    }

    /// Takes what has come.
    private func receive() {
        while true {
            let wanted = state.withLock { $0.completion == nil ? 0 : $0.machine.wanted }
            guard wanted > 0 else { return }
            var bytes = [UInt8](repeating: 0, count: wanted)
            let count = recv(socket, &bytes, wanted, Int32(MSG_DONTWAIT))
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return wait() }
            guard count > 0 else { return end(.failure(state.withLock { $0.machine.receiveEnd() })) }
            switch state.withLock({ $0.machine.receive(bytes[..<count]) }) {
            case .proceed(let answer):
                guard StreamSocket.sendAtOnce(answer, to: socket) else { return lose() }
            case .finish(let answer, let peer):
                guard StreamSocket.sendAtOnce(answer, to: socket) else { return lose() }
                return establish(peer)
            case .fail(let answer, let error):
                _ = StreamSocket.sendAtOnce(answer, to: socket)
                return end(.failure(error))
            }
        }
    }

    private func lose() {
        end(.failure(ConnectionError(.handshakeFailed, "the other end closed the connection during the handshake")))
    }

    private func establish(_ peer: Greeting) {
        let terms = StreamLink.Terms(
            sendLimit: Int(clamping: peer.messageLimit),
            receiveLimit: wishes.messageLimit,
            carriesDescriptors: own.carriesDescriptors && peer.carriesDescriptors,
            isSameProgram: own.build == peer.build
        )
        guard let completion = finish() else { return }
        isOwner.store(false, ordering: .relaxed)
        completion(Result { try StreamLink(OwnedDescriptor(owning: socket), terms) })
    }

    private func end(_ result: Result<StreamLink, any Error>) {
        guard let completion = finish() else { return }
        // The other end is to learn of it now, not when the last reference is gone.
        shutdown(socket, Int32(SHUT_RDWR))
        completion(result)
    }

    /// Takes the completion, which the first caller gets.
    private func finish() -> Completion? {
        let (completion, token) = state.withLock { state in
            defer { (state.completion, state.token) = (nil, nil) }
            return (state.completion, state.token)
        }
        if completion != nil, let token { reactor.cancel(token) }
        return completion
    }
}
