// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A path for a socket that no other test has.
func socketPath(line: Int = #line) -> String { "/tmp/multiprocessing-\(getpid())-\(line).sock" }

/// Whether `error` is a `ConnectionError` of a code.
func isCode(_ code: ConnectionError.Code) -> (any Error) -> Bool {
    { ($0 as? ConnectionError)?.code == code }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ListenerTests {
    @Test(
        arguments: ["127.0.0.1:0", "[::1]:0", "localhost:0", "@multiprocessing-", "/tmp/multiprocessing-"],
        [true, false]
    )
    func `processes find each other at every kind of address`(kind: String, hasKey: Bool) async throws {
        try await isolated {
            let key: AuthenticationKey? = hasKey ? "secret" : nil
            let listener = try Listener(
                address: Address(kind.hasSuffix("-") ? "\(kind)\(getpid())" : kind),
                authenticationKey: key
            )
            let place = listener.address
            try check(place.port != 0, "\(place)")
            try check(listener.lastAccepted == nil)
            let child = ChildProcess {
                try talkBlocking(place, key)
                let other = try await Connection.connect(to: place, authenticationKey: key)
                try await other.send("async")
                let numbers = try await other.receive([Double].self)
                try check(numbers.count == 1_000_000 && other.isSameProgram)
            }
            try child.start()
            let connection = try listener.accept()
            try checkEqual(try connection.receive([String].self), ["hello", "world"])
            try connection.send(2)
            try check(connection.isSameProgram && connection.isReadable && connection.isWritable)
            let other = try listener.accept(timeout: .seconds(30))
            try checkEqual(try other.receive(String.self), "async")
            try other.send([Double](repeating: 1.5, count: 1_000_000))
            try check(listener.lastAccepted != nil)
            if place.port != nil { try checkEqual(listener.lastAccepted?.host, place.host) }
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            do {
                _ = try connection.receive(Int.self)
                throw CheckFailed(description: "no end of file")
            } catch let error as ConnectionError {
                try checkEqual(error.code, .endOfFile)
            }
            listener.close()
            if let path = place.path { try check(access(path, F_OK) != 0) }
        }
    }

    @Test func `a listener without an address has a name that nobody else has`() async throws {
        let (first, second) = (try Listener(), try Listener())
        #expect(first.address != second.address)
        let here = try await Connection.connect(to: first.address)
        let there = try await first.accept()
        try await here.send(1)
        #expect(try await there.receive(Int.self) == 1)
    }

    @Test func `an address that is taken is an error, and one left by a killed listener is not taken`() async throws {
        let first = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
        #expect { try Listener(address: first.address) } throws: { ($0 as? SystemError)?.code == EADDRINUSE }
        let path = socketPath()
        let child = ChildProcess {
            let listener = try Listener(address: .unix(path: path))
            _ = try await listener.accept()
            kill(getpid(), SIGKILL)
        }
        try child.start()
        // It is there when it can be reached.
        while (try? await Connection.connect(to: .unix(path: path))) == nil { await Task.yield() }
        try await child.join()
        #expect(access(path, F_OK) == 0)
        let second = try Listener(address: .unix(path: path))
        #expect { try Listener(address: second.address) } throws: { ($0 as? SystemError)?.code == EADDRINUSE }
        var status = stat()
        stat(path, &status)
        #expect(status.st_mode & 0o777 == 0o600)
        second.close()
        #expect(access(path, F_OK) != 0)
        // A file that is no socket is nobody's to remove.
        close(open(path, O_CREAT | O_RDWR, 0o600))
        #expect(throws: SystemError.self) { try Listener(address: .unix(path: path)) }
        #expect(unlink(path) == 0)
    }

    @Test func `a key that is wrong or missing is a clear error on both sides, and the listener goes on`() async throws
    {
        for (listenerKey, key) in [("right", "wrong"), ("right", nil), (nil, "right")] as [(String?, String?)] {
            let listener = try Listener(
                address: .tcp(host: "127.0.0.1", port: 0),
                authenticationKey: listenerKey.map { AuthenticationKey($0) }
            )
            let accepting = Task { try await listener.accept() }
            await #expect(
                performing: {
                    try await Connection.connect(
                        to: listener.address,
                        authenticationKey: key.map { AuthenticationKey($0) }
                    )
                },
                throws: isCode(.authenticationFailed)
            )
            await #expect(performing: { try await accepting.value }, throws: isCode(.authenticationFailed))
            let right = listenerKey.map { AuthenticationKey($0) }
            let connection = try await Connection.connect(to: listener.address, authenticationKey: right)
            try await listener.accept().send(5)
            #expect(try await connection.receive(Int.self) == 5)
        }
    }

    @Test func `the sequence of connections skips who has no key, and ends when the listener is closed`() async throws {
        let listener = try Listener(authenticationKey: "right")
        let counting = Task {
            var count = 0
            for try await connection in listener.connections {
                count += 1
                try await connection.send(count)
            }
            return count
        }
        for number in 1...5 {
            _ = try? await Connection.connect(to: listener.address, authenticationKey: "wrong")
            let connection = try await Connection.connect(to: listener.address, authenticationKey: "right")
            #expect(try await connection.receive(Int.self) == number)
        }
        listener.close()
        #expect(try await counting.value == 5)
    }

    @Test func `accepting ends with its time, its task or its listener`() async throws {
        let listener = try Listener()
        await #expect(throws: TimeoutError.self) { try await listener.accept(timeout: .zero) }
        await #expect(throws: TimeoutError.self) { try await listener.accept(timeout: .milliseconds(20)) }
        #expect(throws: TimeoutError.self) { try onThread { try listener.accept(timeout: .milliseconds(20)) } }
        let cancelled = Task { try await listener.accept() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let waiting = Task { try await listener.accept() }
        let thread = try onThreadAsync { try listener.accept() }
        listener.close()
        listener.close()
        await #expect(performing: { try await waiting.value }, throws: isCode(.closed))
        #expect(performing: { try thread.get() }, throws: isCode(.closed))
        await #expect(performing: { try await listener.accept() }, throws: isCode(.closed))
    }

    @Test func `connecting to nobody, or to somebody who says nothing, ends`() async throws {
        let gone = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
        let address = gone.address
        gone.close()
        await #expect { try await Connection.connect(to: address) } throws: {
            ($0 as? SystemError)?.code == ECONNREFUSED
        }
        await #expect(throws: SystemError.self) { try await Connection.connect(to: .unix(path: "/nowhere/at.all")) }

        let mute = try RawSocket.listening()
        await #expect(throws: TimeoutError.self) {
            try await Connection.connect(to: mute.address, timeout: .milliseconds(50))
        }
        #expect(throws: TimeoutError.self) {
            try onThread { try Connection.connect(to: mute.address, timeout: .milliseconds(50)) }
        }
        let cancelled = Task { try await Connection.connect(to: mute.address) }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
    }

    @Test func `many connect at the same time`() async throws {
        let listener = try Listener(authenticationKey: "many")
        let server = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<300 {
                    let connection = try await listener.accept()
                    group.addTask { try await connection.send(try await connection.receive(Int.self) + 1) }
                }
                try await group.waitForAll()
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let connection = try await Connection.connect(to: listener.address, authenticationKey: "many")
                    try await connection.send(number)
                    #expect(try await connection.receive(Int.self) == number + 1)
                }
            }
            try await group.waitForAll()
        }
        try await server.value
    }

    @Test func `peers that say nothing, or nonsense, hold nobody up and are turned away`() async throws {
        try await isolated {
            let listener = try Listener(
                address: .tcp(host: "127.0.0.1", port: 0),
                authenticationKey: "key",
                handshakeTimeout: .seconds(3)
            )
            let mute = try (0..<100).map { _ in try RawSocket.connected(to: listener.address) }
            let loud = try (0..<100).map { number in
                let socket = try RawSocket.connected(to: listener.address)
                socket.send(Array("GET /\(number) HTTP/1.1\r\n\r\n".utf8))
                return socket
            }
            let start = ContinuousClock.now
            let connection = try Connection.connect(to: listener.address, authenticationKey: "key")
            try listener.accept().send(1)
            try checkEqual(try connection.receive(Int.self), 1)
            // One after the other they would take five minutes.
            try check(ContinuousClock.now - start < .seconds(60))
            // Each gets the greeting and then the end, the loud ones at once.
            for socket in loud + mute { try check(socket.readToEnd(most: 64)) }
        }
    }

    @Test func `more mute peers than there are slots push out the oldest`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0), handshakeTimeout: .seconds(60))
            let mute = try (0..<300).map { _ in try RawSocket.connected(to: listener.address) }
            let connection = try Connection.connect(to: listener.address)
            try listener.accept().send(1)
            try checkEqual(try connection.receive(Int.self), 1)
            for socket in mute.prefix(44) { try check(socket.readToEnd(most: 64)) }
        }
    }

    @Test func `connections that nobody accepts wait, in bounds, and see the end when the listener closes`()
        async throws
    {
        try await isolated {
            let listener = try Listener()
            let first = try (0..<128).map { _ in try Connection.connect(to: listener.address) }
            // No more is let in; the kernel keeps them in its queue.
            do {
                _ = try Connection.connect(to: listener.address, timeout: .milliseconds(100))
                throw CheckFailed(description: "one too many")
            } catch is TimeoutError {}
            for _ in 0..<128 { try listener.accept().send(1) }
            for connection in first { try checkEqual(try connection.receive(Int.self), 1) }
            let late = try Connection.connect(to: listener.address)
            listener.close()
            do {
                _ = try late.receive(Int.self)
                throw CheckFailed(description: "no end of file")
            } catch let error as ConnectionError {
                try checkEqual(error.code, .endOfFile)
            }
        }
    }
}

/// Greets a listener and gets a number.
private func talkBlocking(_ place: Address, _ key: AuthenticationKey?) throws {
    let connection = try Connection.connect(to: place, authenticationKey: key)
    try connection.send(["hello", "world"])
    try checkEqual(try connection.receive(Int.self), 2)
}
