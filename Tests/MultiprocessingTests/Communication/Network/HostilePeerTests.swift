// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing
import Testing

/// What strangers and the dying send. The connection concerned fails; everything else goes on.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct HostilePeerTests {
    /// The head of a frame as the format has it.
    private static func head(_ length: UInt64, descriptors: UInt64 = 0, mark: UInt64 = 0x6d) -> [UInt8] {
        let word = length & 0xffff_ffff_ffff | descriptors << 48 | mark << 56
        return (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }

    @Test func `a length beyond the limit is refused before anything is allocated`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
            for length in [UInt64(1) << 30 + 1, 1 << 47, 0xffff_ffff_ffff] {
                let peer = try RawSocket.connected(to: listener.address)
                peer.greet()
                peer.send(Self.head(length))
                let connection = try listener.accept()
                try expect(.invalidMessage) { _ = try connection.receiveBytes() }
                try expect(.invalidMessage) { _ = try connection.receiveBytes() }
                try expect(.invalidMessage) { try connection.send(1) }
                try check(peer.readToEnd(most: 0))
            }
        }
    }

    @Test func `a length that is allowed and a lie costs what comes, not what is said`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
            var peers: [(RawSocket, Connection)] = []
            let before = try residentKiB()
            for _ in 0..<64 {
                let peer = try RawSocket.connected(to: listener.address)
                peer.greet()
                peer.send(Self.head(1 << 30) + [1, 2, 3])
                let connection = try listener.accept()
                do {
                    _ = try connection.receiveBytes(timeout: .milliseconds(1))
                    throw CheckFailed(description: "a message")
                } catch is TimeoutError {}
                peers.append((peer, connection))
            }
            let grown = try residentKiB() - before
            try check(grown < 16_384, "\(grown) KiB")
            for (peer, connection) in peers {
                peer.endSending()
                try expect(.invalidMessage) { _ = try connection.receiveBytes() }
            }
        }
    }

    @Test func `a frame that comes byte by byte is waited for, across timeouts`() async throws {
        let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
        let peer = try RawSocket.connected(to: listener.address)
        peer.greet()
        let connection = try await listener.accept()
        for byte in Self.head(3) + [7, 8] {
            peer.send([byte])
            await #expect(throws: TimeoutError.self) { try await connection.receiveBytes(timeout: .milliseconds(2)) }
        }
        peer.send([9])
        #expect(try await connection.receiveBytes() == [7, 8, 9])
    }

    @Test func `a stream that ends in a message is an error, and so for good, with nothing of it received`()
        async throws
    {
        let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
        for cut in 1..<11 {
            let peer = try RawSocket.connected(to: listener.address)
            peer.greet()
            peer.send(Self.head(1) + [5])
            peer.send(Array((Self.head(3) + [1, 2, 3])[..<cut]))
            peer.endSending()
            let connection = try await listener.accept()
            #expect(try await connection.receiveBytes() == [5])
            await #expect(performing: { try await connection.receiveBytes() }, throws: isCode(.invalidMessage))
            await #expect(performing: { try await connection.receiveBytes() }, throws: isCode(.invalidMessage))
        }
        // Between messages it is the end of the file.
        let peer = try RawSocket.connected(to: listener.address)
        peer.greet()
        peer.send(Self.head(1) + [5])
        peer.endSending()
        let connection = try await listener.accept()
        #expect(try await connection.receiveBytes() == [5])
        await #expect(performing: { try await connection.receiveBytes() }, throws: isCode(.endOfFile))
    }

    @Test func `descriptors that are said and do not come, or come unsaid, break the connection and are closed`()
        async throws
    {
        let path = socketPath()
        try await isolated {
            let listener = try Listener(address: .unix(path: path))
            for round in 0..<4 {
                let peer = try RawSocket.connected(to: listener.address)
                peer.greet(carriesDescriptors: true)
                let connection = try listener.accept()
                let bytes = Self.head(1, descriptors: round == 0 ? 2 : round == 1 ? 0 : 1) + [1]
                let numbers = [Int32](
                    repeating: peer.descriptor,
                    count: round == 0 ? 0 : round == 1 ? 3 : round == 2 ? 253 : 1
                )
                _ = mp_send(peer.descriptor, bytes, bytes.count, nil, 0, numbers, numbers.count, 0)
                if round == 3 {
                    try checkEqual(try connection.receiveBytes(), [1])
                } else {
                    try expect(.invalidMessage) { _ = try connection.receiveBytes() }
                }
            }
            // An end that said it takes none gets none.
            let peer = try RawSocket.connected(to: listener.address)
            peer.greet(carriesDescriptors: false)
            let connection = try listener.accept()
            let bytes = Self.head(1) + [4]
            let numbers = [Int32](repeating: peer.descriptor, count: 5)
            _ = mp_send(peer.descriptor, bytes, bytes.count, nil, 0, numbers, numbers.count, 0)
            try checkEqual(try connection.receiveBytes(), [4])
        }
    }

    @Test func `noise after the handshake is an error there, and other connections go on`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0), maximumMessageSize: 1 << 20)
            let good = try Connection.connect(to: listener.address)
            let other = try listener.accept()
            var generator = Seeded(seed: 11)
            for round in 0..<150 {
                let peer = try RawSocket.connected(to: listener.address)
                peer.greet()
                let connection = try listener.accept()
                // Good frames, then one with damaged bytes, then noise.
                let whole = Int.random(in: 0...3, using: &generator)
                for _ in 0..<whole { peer.send(Self.head(2) + [1, 1]) }
                var bytes = Self.head(20) + (0..<20).map { UInt8($0) }
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let index = Int.random(in: 0..<bytes.count, using: &generator)
                    bytes[index] = .random(in: .min ... .max, using: &generator)
                }
                peer.send(bytes + (0..<100).map { _ in .random(in: .min ... .max, using: &generator) })
                peer.endSending()
                for _ in 0..<whole { try checkEqual(try connection.receiveBytes(), [1, 1]) }
                // Whatever it decodes to: messages or errors, and the end before long.
                var messages = 0
                while messages < 200 {
                    do {
                        if round.isMultiple(of: 2) {
                            _ = try connection.receiveBytes()
                        } else {
                            _ = try connection.receive([String: [Int]].self)
                        }
                    } catch let error as ConnectionError {
                        try check(error.code == .invalidMessage || error.code == .endOfFile, "\(error)")
                        break
                    } catch {}
                    messages += 1
                }
                try check(messages < 200)
                try good.send(round)
                try checkEqual(try other.receive(Int.self), round)
            }
        }
    }

    @Test func `noise in place of a handshake fails that connection on either side`() async throws {
        try await isolated {
            let listener = try Listener(
                address: .tcp(host: "127.0.0.1", port: 0),
                authenticationKey: "k",
                handshakeTimeout: .seconds(60)
            )
            var generator = Seeded(seed: 12)
            for _ in 0..<200 {
                let peer = try RawSocket.connected(to: listener.address)
                peer.send(
                    (0..<Int.random(in: 1...300, using: &generator)).map { _ in
                        .random(in: .min ... .max, using: &generator)
                    }
                )
                peer.endSending()
                try check(peer.readToEnd(most: 64))
            }
            let mute = try RawSocket.listening()
            for _ in 0..<100 {
                let bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                    UInt8.random(in: .min ... .max, using: &generator)
                }
                let connecting = try onThreadAsync { try Connection.connect(to: mute.address, authenticationKey: "k") }
                let peer = try mute.accepted()
                peer.send(bytes)
                peer.endSending()
                try expect(.handshakeFailed) { _ = try connecting.get() }
            }
            let good = try Connection.connect(to: listener.address, authenticationKey: "k")
            try listener.accept().send(1)
            try checkEqual(try good.receive(Int.self), 1)
        }
    }

    @Test(arguments: [true, false])
    func `peers killed in the middle of frames leave whole messages, and then the end or a cut message`(
        isUnix: Bool
    ) async throws {
        try await isolated {
            let listener = try Listener(
                address: isUnix ? nil : .tcp(host: "127.0.0.1", port: 0),
                authenticationKey: "k"
            )
            let address = listener.address
            var generator = Seeded(seed: isUnix ? 21 : 22)
            var complete = 0
            for _ in 0..<40 {
                let child = ChildProcess {
                    let connection = try Connection.connect(to: address, authenticationKey: "k")
                    var number = 0
                    while true {
                        try connection.send([Int](repeating: number, count: number % 7 == 0 ? 60_000 : number % 50))
                        number += 1
                    }
                }
                try child.start()
                let connection = try listener.accept()
                let last = Int.random(in: 1..<120, using: &generator)
                var number = 0
                while true {
                    do {
                        let values = try connection.receive([Int].self)
                        try check(values.count == (number % 7 == 0 ? 60_000 : number % 50))
                        try check(values.allSatisfy { $0 == number }, "torn")
                    } catch let error as ConnectionError {
                        try check(error.code == .endOfFile || error.code == .invalidMessage, "\(error)")
                        break
                    }
                    number += 1
                    if number == last { try child.kill() }
                }
                complete += number
                try check(number >= last)
                try child.join()
                try child.close()
            }
            try check(complete > 40)
        }
    }
}

/// Throws unless `body` throws a `ConnectionError` of `code`.
private func expect(_ code: ConnectionError.Code, line: Int = #line, _ body: () throws -> Void) throws {
    do {
        try body()
    } catch let error as ConnectionError {
        return try checkEqual(error.code, code, line: line)
    }
    throw CheckFailed(description: "line \(line): no error where \(code) was to be")
}

/// The memory of this process that is in use, in KiB.
private func residentKiB() throws -> Int {
    guard let line = Proc.lines("/proc/self/status").first(where: { $0.hasPrefix("VmRSS:") }),
        let number = line.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) })
    else { throw CheckFailed(description: "no VmRSS") }
    return number
}
