// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// The handshake without any socket.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct HandshakeTests {
    /// One end, with what it said and how it ended.
    private struct End {
        var machine: HandshakeStateMachine
        var said: [UInt8]
        var peer: Greeting?
        var error: ConnectionError?

        init(_ role: Greeting.Role, key: AuthenticationKey?, nonce: UInt8 = 0, build: UInt64 = 7) {
            let own = Greeting(
                role: role,
                hasKey: key != nil,
                carriesDescriptors: true,
                build: build,
                messageLimit: 1000,
                nonce: [UInt8](repeating: nonce &+ role.rawValue, count: 32)
            )
            machine = HandshakeStateMachine(own: own, key: key)
            said = machine.opening
        }

        var hasEnded: Bool { peer != nil || error != nil }

        /// Takes bytes as a socket would give them, at most `step` at a time, and returns what it says to them.
        mutating func hear(_ bytes: [UInt8], step: Int = .max) -> [UInt8] {
            var rest = bytes[...]
            var answer: [UInt8] = []
            while !rest.isEmpty, !hasEnded {
                let part = rest.prefix(min(step, machine.wanted))
                rest = rest.dropFirst(part.count)
                switch machine.receive(part) {
                case .proceed(let send): answer += send
                case .finish(let send, let peer): (answer, self.peer) = (answer + send, peer)
                case .fail(let send, let error): (answer, self.error) = (answer + send, error)
                }
            }
            return answer
        }
    }

    /// Lets two ends talk, through `wire`, which may change what is said.
    private func talk(
        _ listenerKey: AuthenticationKey?,
        _ connectorKey: AuthenticationKey?,
        step: Int = .max,
        wire: (_ isFromListener: Bool, _ bytes: [UInt8]) -> [UInt8] = { $1 }
    ) -> (listener: End, connector: End) {
        var listener = End(.listener, key: listenerKey)
        var connector = End(.connector, key: connectorKey)
        var toConnector = wire(true, listener.said)
        var toListener = wire(false, connector.said)
        while !toConnector.isEmpty || !toListener.isEmpty {
            let (a, b) = (connector.hear(toConnector, step: step), listener.hear(toListener, step: step))
            toListener = a.isEmpty ? [] : wire(false, a)
            toConnector = b.isEmpty ? [] : wire(true, b)
        }
        return (listener, connector)
    }

    @Test func `codes are those of RFC 4231`() throws {
        func hex(_ bytes: [UInt8]) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        let key = [UInt8](repeating: 0x0b, count: 20)
        #expect(
            hex(try MessageAuthentication.code(for: Array("Hi There".utf8), key: key))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        )
        let long = [UInt8](repeating: 0xaa, count: 131)
        let text = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
        #expect(
            hex(try MessageAuthentication.code(for: text, key: long))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        )
        // An empty key is one, and not that of the call before.
        #expect(
            hex(try MessageAuthentication.code(for: [], key: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        )
        #expect(MessageAuthentication.areEqual([1, 2], [1, 2]))
        #expect(!MessageAuthentication.areEqual([1, 2], [1, 3]) && !MessageAuthentication.areEqual([1], [1, 2]))
    }

    @Test(arguments: [1, 2, 63, Int.max], [nil, "secret", ""] as [String?])
    func `ends with the same key, or none, come together, in whatever pieces the bytes come`(step: Int, text: String?) {
        let key = text.map { AuthenticationKey($0) }
        let (listener, connector) = talk(key, key, step: step)
        #expect(listener.peer?.role == .connector && connector.peer?.role == .listener)
        #expect(connector.peer?.build == 7 && connector.peer?.messageLimit == 1000)
        #expect(listener.error == nil && connector.error == nil)
    }

    @Test func `other keys, and missing ones, are errors that say so at both ends`() {
        for (listenerKey, connectorKey) in [("a", "b"), ("a", nil), (nil, "b"), ("", nil), ("a", "")]
            as [(String?, String?)]
        {
            let (listener, connector) = talk(
                listenerKey.map { AuthenticationKey($0) },
                connectorKey.map { AuthenticationKey($0) }
            )
            #expect(listener.error?.code == .authenticationFailed && connector.error?.code == .authenticationFailed)
            #expect(listener.error?.message.contains("key") == true && connector.error?.message.contains("key") == true)
            #expect(listener.peer == nil && connector.peer == nil)
        }
    }

    @Test func `an end that hears its own words answers nothing that is of use`() {
        for role in [Greeting.Role.listener, .connector] {
            var end = End(role, key: "secret")
            #expect(end.hear(end.said).isEmpty)
            #expect(end.error?.code == .handshakeFailed)
        }
        // A stranger that passes on what the connector proves as its own proof, in the role of the listener.
        var connector = End(.connector, key: "secret")
        let proof = connector.hear(End(.listener, key: "secret").said)
        #expect(proof.count == 32)
        #expect(connector.hear([1] + proof).isEmpty)
        #expect(connector.error?.code == .authenticationFailed)
    }

    @Test func `a proof of another connection proves nothing`() {
        var proofs: [UInt8] = []
        _ = talk("secret", "secret") { isFromListener, bytes in
            if !isFromListener, bytes.count == 32 { proofs = bytes }
            return bytes
        }
        var listener = End(.listener, key: "secret", nonce: 9)
        #expect(listener.hear(End(.connector, key: "secret").said + proofs).count == 33)
        #expect(listener.error?.code == .authenticationFailed)
    }

    @Test func `every single bit that is changed on the way is noticed`() {
        for isFromListener in [false, true] {
            for offset in 0..<(isFromListener ? 64 + 33 : 64 + 32) {
                for bit in 0..<8 {
                    var seen = 0
                    let (listener, connector) = talk("secret", "secret") { from, bytes in
                        guard from == isFromListener else { return bytes }
                        defer { seen += bytes.count }
                        var bytes = bytes
                        if (seen..<seen + bytes.count).contains(offset) { bytes[offset - seen] ^= 1 << UInt8(bit) }
                        return bytes
                    }
                    // The listener's last word is to the connector alone.
                    #expect(connector.peer == nil, "bit \(bit) of \(offset) from the listener: \(isFromListener)")
                    if !(isFromListener && offset >= 64) { #expect(listener.peer == nil) }
                }
            }
        }
    }

    @Test func `noise is turned away at the first wrong byte, and never read beyond the limits`() {
        var generator = Seeded(seed: 4)
        for round in 0..<2000 {
            let key: AuthenticationKey? = round.isMultiple(of: 2) ? "secret" : nil
            let role: Greeting.Role = round.isMultiple(of: 3) ? .listener : .connector
            var end = End(role, key: key)
            var bytes = End(role == .listener ? .connector : .listener, key: key).said
            // As it should be up to some place, and noise from there on.
            let good = Int.random(in: 0...bytes.count, using: &generator)
            bytes = bytes[..<good] + (0..<200).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            var heard = 0
            while heard < bytes.count, !end.hasEnded {
                #expect(end.machine.wanted <= 64)
                _ = end.hear([bytes[heard]])
                heard += 1
            }
            // Without a key what follows the flags may be anything.
            #expect((key == nil && good >= 16) == (end.peer != nil))
            #expect(heard <= Greeting.size + 33)
            if good < 8, bytes[good] != Greeting.magic[good] { #expect(heard == good + 1) }
        }
    }

    @Test func `what is short of descriptors or of words is an error at the end of the stream`() {
        var end = End(.listener, key: nil)
        _ = end.hear([UInt8](Greeting.magic))
        #expect(end.machine.receiveEnd().code == .handshakeFailed)
    }

    @Test func `a key is not shown where it is printed`() {
        let key: AuthenticationKey = "sesame"
        var text = ""
        dump(key, to: &text)
        #expect(!"\(key) \(text)".contains("sesame") && !text.contains("115"))
        key.withUnsafeBytes { #expect(Array($0) == Array("sesame".utf8)) }
        AuthenticationKey.random().withUnsafeBytes { #expect($0.count == 32) }
    }
}

/// Addresses as text.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct AddressTests {
    @Test(arguments: [
        ("/run/a.sock", Address.unix(path: "/run/a.sock")), ("@name", .abstract(name: "name")),
        ("localhost:80", .tcp(host: "localhost", port: 80)), ("[::1]:0", .tcp(host: "::1", port: 0)),
        ("127.0.0.1:65535", .tcp(host: "127.0.0.1", port: 65535)),
    ])
    func `an address reads as it is written`(text: String, address: Address) {
        #expect(Address(text) == address)
        #expect(address.description == text)
    }

    @Test(arguments: ["", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:80", "host:-1"])
    func `what is no address is none`(text: String) {
        #expect(Address(text) == nil)
    }

    @Test(arguments: [
        Address.tcp(host: "127.0.0.1", port: 65536), .tcp(host: "127.0.0.1", port: -1), .unix(path: ""),
        .unix(path: String(repeating: "x", count: 108)), .abstract(name: ""), .unix(path: "a\0b"),
        .tcp(host: "no such host.invalid", port: 1),
    ])
    func `an address that cannot be is an error`(address: Address) async throws {
        #expect { try Listener(address: address) } throws: { ($0 as? ConnectionError)?.code == .invalidAddress }
        await #expect { try await Connection.connect(to: address) } throws: {
            ($0 as? ConnectionError)?.code == .invalidAddress
        }
    }
}
