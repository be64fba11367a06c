// SPDX-License-Identifier: Apache-2.0
//
// How two ends of a stream find out that they may talk. Pure: bytes in, bytes and a decision out.
//
//   both        greeting (64 bytes), at once
//   connector   with keys: its proof (32 bytes)
//   listener    with keys: 1 and its proof, or 0 and 32 zero bytes for a wrong one (33 bytes)
//
// A proof is the HMAC-SHA-256, by the key, of a label, the prover's role and both greetings, the listener's first. The role makes a proof worthless in the other direction (reflection), the random
// bytes in both greetings make it worthless in any other connection (replay), and whatever the greetings say is covered (downgrade). The connector proves first, so that nobody gets anything made with
// the key by connecting. Every message has one size: nothing is allocated by what a stranger says.

/// One end's part of a handshake.
package struct HandshakeStateMachine {
    /// What is to be done after bytes came.
    package enum Action {
        /// Send this, which may be nothing, and go on receiving.
        case proceed(send: [UInt8])
        /// Send this; then the connection stands, and this is the other end.
        case finish(send: [UInt8], peer: Greeting)
        /// Send this, and close.
        case fail(send: [UInt8], ConnectionError)
    }

    private enum State {
        case greeting
        case proof(peer: Greeting)
        case verdict(peer: Greeting)
        case ended
    }

    private static let proofSize = 32
    private static let label = Array("multiprocessing connection 1 proof of ".utf8)

    private let own: Greeting
    private let key: AuthenticationKey?
    private var state = State.greeting
    private var received: [UInt8] = []

    /// Creates the part of the end that says `own`.
    ///
    /// - Parameter key: This end's key; nil without one.
    package init(own: Greeting, key: AuthenticationKey?) {
        self.own = own
        self.key = key
    }

    /// What is sent before anything is received.
    package var opening: [UInt8] { own.bytes }

    /// How many more bytes the next step needs; never read more.
    package var wanted: Int {
        switch state {
        case .greeting: Greeting.size - received.count
        case .proof: Self.proofSize - received.count
        case .verdict: 1 + Self.proofSize - received.count
        case .ended: 0
        }
    }

    /// Takes bytes that came, at most `wanted`.
    package mutating func receive(_ bytes: some Sequence<UInt8>) -> Action {
        received += bytes
        do throws(ConnectionError) {
            switch state {
            case .greeting: return try receiveGreeting()
            case .proof(let peer): return try receiveProof(of: peer)
            case .verdict(let peer): return try receiveVerdict(of: peer)
            case .ended: return .proceed(send: [])
            }
        } catch {
            return fail(error)
        }
    }

    /// Takes the end of the stream.
    package mutating func receiveEnd() -> ConnectionError {
        state = .ended
        return ConnectionError(.handshakeFailed, "the other end closed the connection during the handshake")
    }

    // MARK: - Steps

    private mutating func receiveGreeting() throws(ConnectionError) -> Action {
        // A stranger is turned away at the first wrong byte, not at the deadline.
        guard received.prefix(Greeting.magic.count).elementsEqual(Greeting.magic.prefix(received.count)) else {
            return fail(.handshakeFailed, "the other end speaks another protocol, or another version of this one")
        }
        guard received.count == Greeting.size else { return .proceed(send: []) }
        guard let peer = Greeting(received) else {
            return fail(.handshakeFailed, "the other end sent a damaged greeting")
        }
        guard peer.role != own.role else {
            return fail(.handshakeFailed, "the other end is a \(own.role) as well, not a counterpart of one")
        }
        if let refusal = refusal(of: peer) { return fail(.authenticationFailed, refusal) }
        received = []
        switch own.role {
        case _ where key == nil:
            state = .ended
            return .finish(send: [], peer: peer)
        case .listener:
            state = .proof(peer: peer)
            return .proceed(send: [])
        case .connector:
            state = .verdict(peer: peer)
            return .proceed(send: try proof(of: .connector, peer))
        }
    }

    /// Why ends of which one has no key do not come together.
    private func refusal(of peer: Greeting) -> String? {
        switch (own.hasKey, peer.hasKey, own.role) {
        case (true, false, .listener): "a connector gave no authentication key where the listener has one"
        case (true, false, .connector):
            "the listener has no authentication key, and so cannot prove that it is the right one"
        case (false, true, .listener): "a connector gave an authentication key where the listener has none"
        case (false, true, .connector): "the listener asks for an authentication key, and none was given"
        default: nil
        }
    }

    private mutating func receiveProof(of peer: Greeting) throws(ConnectionError) -> Action {
        guard received.count == Self.proofSize else { return .proceed(send: []) }
        guard MessageAuthentication.areEqual(received, try proof(of: .connector, peer)) else {
            let refusal = [UInt8](repeating: 0, count: 1 + Self.proofSize)
            return fail(.authenticationFailed, "a connector has another authentication key", send: refusal)
        }
        state = .ended
        return .finish(send: [1] + (try proof(of: .listener, peer)), peer: peer)
    }

    private mutating func receiveVerdict(of peer: Greeting) throws(ConnectionError) -> Action {
        guard received.count == 1 + Self.proofSize else { return .proceed(send: []) }
        guard received[0] == 1, MessageAuthentication.areEqual(Array(received[1...]), try proof(of: .listener, peer))
        else {
            return fail(.authenticationFailed, "the listener has another authentication key")
        }
        state = .ended
        return .finish(send: [], peer: peer)
    }

    /// The proof that the end with `role` has the key.
    private func proof(of role: Greeting.Role, _ peer: Greeting) throws(ConnectionError) -> [UInt8] {
        guard let key else { throw ConnectionError(.authenticationFailed, "there is no authentication key") }
        let (listener, connector) = own.role == .listener ? (own, peer) : (peer, own)
        let message = Self.label + [role.rawValue] + listener.bytes + connector.bytes
        return try MessageAuthentication.code(for: message, key: key.bytes)
    }

    private mutating func fail(_ code: ConnectionError.Code, _ message: String, send: [UInt8] = []) -> Action {
        fail(ConnectionError(code, message), send: send)
    }

    private mutating func fail(_ error: ConnectionError, send: [UInt8] = []) -> Action {
        state = .ended
        return .fail(send: send, error)
    }
}
