// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing
import Testing

/// Streams in the middle of a message: they stay where they are, and what is cut is an error.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct CutFrameTests {
    private static let block = [UInt8](repeating: 7, count: 20_000_000)

    /// A connection that has begun to send a message, and the peer, which has received nothing of it.
    private static func begun(_ path: String) throws -> (connection: Connection, peer: RawSocket) {
        let listener = try Listener(address: .unix(path: path))
        let peer = try RawSocket.connected(to: listener.address)
        peer.greet()
        let connection = try listener.accept()
        try connection.sendBytes(block, timeout: .milliseconds(1))
        return (connection, peer)
    }

    @Test func `a stream goes to another process between messages, and not in the middle of one`() async throws {
        try await isolated {
            let listener = try Listener()
            let client = try Connection.connect(to: listener.address)
            let (here, there) = (try listener.accept(), client)
            let handles = try Queue<Connection>()
            // A message of which the rest is being sent.
            try here.sendBytes(Self.block, timeout: .milliseconds(1))
            try expect(.messageUnderWay) { try handles.put(here) }
            // One of which a part was received.
            do {
                _ = try there.receiveBytes(timeout: .milliseconds(1))
            } catch is TimeoutError {
                try expect(.messageUnderWay) { try handles.put(there) }
                try checkEqual(try there.receiveBytes(), Self.block)
            }
            // Sent to its end, which the reactor notes in a moment.
            try here.send(1)
            try checkEqual(try there.receive(Int.self), 1)
            let child = ChildProcess { try handles.get().send("from the child") }
            try handles.put(here)
            try child.start()
            try checkEqual(try there.receive(String.self), "from the child")
            try child.join()
            try child.close()
        }
    }

    @Test func `a forked copy does not take the rest of a message that its parent has begun`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
            let peer = try RawSocket.connected(to: listener.address)
            peer.greet()
            let connection = try listener.accept()
            peer.send([3, 0, 0, 0, 0, 0, 0, 0x6d, 1])
            do {
                _ = try connection.receiveBytes(timeout: .milliseconds(20))
                throw CheckFailed(description: "a message")
            } catch is TimeoutError {}
            peer.send([2, 3])
            let copy = ChildProcess(startMethod: .fork) {
                try expect(.messageUnderWay) { _ = try connection.receiveBytes() }
            }
            try copy.start()
            try copy.join()
            try checkEqual(copy.exitCode, 0)
            try copy.close()
            try checkEqual(try connection.receiveBytes(), [1, 2, 3])
        }
    }

    @Test func `a message that is cut because descriptors are short was not sent`() async throws {
        try await isolated {
            let listener = try Listener()
            let there = try Connection.connect(to: listener.address)
            let here = try listener.accept()
            // Both have waited once, so that what is made at first need is there.
            try here.send(1)
            try checkEqual(try there.receive(Int.self, timeout: .seconds(60)), 1)
            var taken: [Int32] = []
            while case let number = dup(0), number >= 0 { taken.append(number) }
            defer { for number in taken { close(number) } }
            try expect(.invalidMessage) { try here.sendBytes(Self.block, timeout: .milliseconds(20)) }
            for number in taken { close(number) }
            taken = []
            try expect(.invalidMessage) { _ = try there.receiveBytes() }
            try expect(.invalidMessage) { try here.send(1) }
        }
    }

    @Test func `a receiver that takes its time after the close gets the whole message, as long as it takes something`()
        async throws
    {
        let path = socketPath()
        try await isolated {
            let (connection, peer) = try Self.begun(path)
            connection.close()
            var buffer = [UInt8](repeating: 0, count: 100_000)
            var (sum, pauses) = (0, 0)
            while case let count = recv(peer.descriptor, &buffer, buffer.count, 0), count > 0 {
                sum += count
                // In all longer than a receiver has that takes nothing.
                guard sum >= (pauses + 1) * 2_000_000, pauses < 8 else { continue }
                pauses += 1
                _ = poll(nil, 0, 800)
            }
            try check(sum > Self.block.count, "\(sum) bytes came")
        }
    }

    @Test func `the rest of a message waits for its receiver some seconds after the close, not for ever`() async throws
    {
        let path = socketPath()
        try await isolated {
            let (connection, peer) = try Self.begun(path)
            connection.close()
            // It takes nothing, and sees that nothing more can come.
            try checkEqual(peer.waitForCut(), true)
        }
    }

    @Test func `the rest of a message goes with its connection when that is dropped and not closed`() async throws {
        let path = socketPath()
        try await isolated {
            let peer = try Self.begun(path).peer
            // It takes nothing, and sees that nothing more can come.
            try checkEqual(peer.waitForCut(), true)
        }
    }

    @Test func `a close ends the sends that wait behind the rest of a message`() async throws {
        let path = socketPath()
        try await isolated {
            let (connection, peer) = try Self.begun(path)
            let sends = try (0..<3).map { n in
                try onThreadAsync { try expect(.closed) { try connection.send(n) } }
            }
            // Whether they wait already or come too late, they are told.
            usleep(20_000)
            connection.close()
            // It takes something from time to time, and so would have all of the rest some time.
            let (received, isOver) = (try SharedAtomic(0), try Event())
            let reading = try onThreadAsync {
                var buffer = [UInt8](repeating: 0, count: 100_000)
                while try !isOver.wait(timeout: .milliseconds(200)) {
                    received.add(recv(peer.descriptor, &buffer, buffer.count, 0))
                }
            }
            for send in sends { try send.get() }
            try check(received.load() < Self.block.count)
            isOver.set()
            try reading.get()
        }
    }

    @Test func `what was sent before a close arrives, also when not all was received that had come`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
            let client = try Connection.connect(to: listener.address)
            let server = try listener.accept()
            try client.send(1)
            try client.send(2)
            try checkEqual(try server.receive(Int.self), 1)
            let answer = [UInt8](repeating: 5, count: 65_536)
            let sending = try onThreadAsync {
                for _ in 0..<100 { try server.sendBytes(answer) }
                // The second request is there, and was not asked for.
                server.close()
            }
            for n in 0..<100 {
                try checkEqual(try client.receiveBytes().count, answer.count)
                if n == 0 { usleep(200_000) }
            }
            try expect(.endOfFile) { _ = try client.receiveBytes() }
            try sending.get()
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

extension RawSocket {
    /// Waits until nothing more can come, a minute at most. Returns whether that is so.
    fileprivate func waitForCut() -> Bool {
        let isCut: Int16 = 0x2000  // POLLRDHUP
        var entry = pollfd(fd: descriptor, events: isCut, revents: 0)
        return poll(&entry, 1, 60_000) == 1
    }
}
