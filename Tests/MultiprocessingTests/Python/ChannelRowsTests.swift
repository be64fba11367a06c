// SPDX-License-Identifier: Apache-2.0
//
// What Python's queues, connections and listeners do, where the suites of each do not show it already. "Coming from Python" lists every row.

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ChannelRowsTests {
    // MARK: - Queues

    @Test func `counts are exact: right after a put a queue is not empty, and full at its capacity`() throws {
        let queue = try Queue<Int>(capacity: 2)
        #expect(queue.isEmpty && queue.count == 0)
        try queue.put(1)
        #expect(!queue.isEmpty && !queue.isFull && queue.count == 1)
        try queue.put(2)
        #expect(queue.isFull && queue.count == 2)
        _ = try queue.get()
        #expect(!queue.isFull)
    }

    @Test func `a closed queue refuses to put, to take and to be waited for, by one error`() async throws {
        let (plain, joinable, simple) = (try Queue<Int>(), try JoinableQueue<Int>(), try SimpleQueue<Int>())
        try await plain.put(1)
        for _ in 0..<2 {
            plain.close()
            joinable.close()
            simple.close()
        }
        let calls: [@Sendable () async throws -> Void] = [
            { try await plain.put(2) }, { _ = try plain.tryPut(2) }, { _ = try await plain.get() },
            { _ = try plain.tryGet() }, { _ = try await Connection.wait(for: [plain]) },
            { try await joinable.put(2) }, { _ = try await joinable.get() }, { try joinable.taskDone() },
            { _ = try await joinable.join() }, { try await simple.put(2) }, { _ = try simple.tryGet() },
        ]
        for call in calls { await #expect { try await call() } throws: { ($0 as? QueueError)?.code == .closed } }
        // No error, unlike there: a question is none.
        #expect(plain.count == 1 && simple.isEmpty)
    }

    @Test func `what cannot be encoded is the error of put and takes no room`() throws {
        struct Stubborn: Codable, Sendable {
            func encode(to encoder: any Encoder) throws { throw CheckFailed(description: "no") }
            init() {}
            init(from decoder: any Decoder) throws {}
        }
        let queue = try Queue<Stubborn>(capacity: 1)
        for _ in 0..<3 { #expect(throws: CheckFailed.self) { try queue.put(Stubborn()) } }
        #expect(queue.isEmpty)
    }

    @Test func `a process that has put much ends at once, and everything is there`() async throws {
        try await isolated {
            let queue = try Queue<[UInt8]>()
            let child = ChildProcess { for _ in 0..<200 { try queue.put([UInt8](repeating: 1, count: 100_000)) } }
            try child.start()
            try check(try child.join(timeout: .seconds(30)))
            try checkEqual(queue.count, 200)
            try child.close()
        }
    }

    @Test func `a timeout of a put or get covers the wait, and zero or less does not wait`() throws {
        let queue = try Queue<Int>(capacity: 1)
        let clock = ContinuousClock()
        for timeout in [Duration.zero, .seconds(-5)] {
            #expect(throws: TimeoutError.self) { try queue.get(timeout: timeout) }
        }
        let waited = clock.measure {
            #expect(throws: TimeoutError.self) { try queue.get(timeout: .milliseconds(60)) }
        }
        #expect(waited >= .milliseconds(60))
        try queue.put(1, timeout: .zero)
        #expect(throws: TimeoutError.self) { try queue.put(2, timeout: .seconds(-5)) }
        let waitedToPut = clock.measure {
            #expect(throws: TimeoutError.self) { try queue.put(2, timeout: .milliseconds(60)) }
        }
        #expect(waitedToPut >= .milliseconds(60))
    }

    // MARK: - Connections

    @Test func `a negative length is refused in the caller, and the message stays`() async throws {
        let (here, there) = try Connection.pipe()
        let (near, far) = try await streamPair()
        for (sender, receiver) in [(here, there), (near, far)] {
            try await sender.sendBytes([1, 2, 3])
            await #expect(
                performing: { try await receiver.receiveBytes(maxLength: -1) },
                throws: isCode(.invalidLength)
            )
            #expect(
                performing: { try onThread { try receiver.receiveBytes(maxLength: -9) } },
                throws: isCode(.invalidLength)
            )
            #expect(try await receiver.receiveBytes(maxLength: 3) == [1, 2, 3])
            // There is nothing to refuse: only empty messages.
            try await sender.sendBytes([])
            #expect(try await receiver.receiveBytes(maxLength: 0).isEmpty)
        }
    }

    @Test func `a message that is too long is consumed, and the connection goes on`() async throws {
        let (here, there) = try Connection.pipe()
        try await here.sendBytes([1, 2, 3])
        try await here.sendBytes([4])
        await #expect(performing: { try await there.receiveBytes(maxLength: 2) }, throws: isCode(.messageTooLong))
        #expect(try await there.receiveBytes(maxLength: 2) == [4])
        try await here.sendBytes([5, 6, 7])
        try onThread {
            try withUnsafeTemporaryAllocation(byteCount: 2, alignment: 1) { buffer in
                do {
                    _ = try there.receiveBytes(into: buffer)
                    throw CheckFailed(description: "it fit")
                } catch let error as ConnectionError {
                    try checkEqual(error.receivedBytes, [5, 6, 7])
                }
            }
        }
        #expect(try await !there.poll())
    }

    @Test func `parts of a buffer are sent as slices, and nothing is a message too`() async throws {
        let (here, there) = try Connection.pipe()
        let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)
        try await here.sendBytes(Array(letters[22..<25]))
        try await here.sendBytes(Array(letters[26..<26]))
        try onThread { try letters.withUnsafeBytes { try here.sendBytes(UnsafeRawBufferPointer(rebasing: $0[5...])) } }
        #expect(try await there.receiveBytes() == Array("wxy".utf8))
        #expect(try await there.poll())
        #expect(try await there.receiveBytes().isEmpty)
        #expect(try await there.receiveBytes().count == 21)
    }

    @Test func `poll waits not at all by default or for less than nothing, and is true at the end`() async throws {
        let (here, there) = try Connection.pipe()
        #expect(try await !here.poll())
        #expect(try await !here.poll(timeout: .seconds(-1)))
        try await there.sendBytes([1, 2])
        try await there.sendBytes([3])
        for _ in 0..<3 { #expect(try await here.poll(timeout: nil)) }
        #expect(try await here.receiveBytes() == [1, 2])
        there.close()
        #expect(try await here.poll())
        #expect(try await here.receiveBytes() == [3])
        #expect(try await here.poll())
        await #expect(performing: { try await here.receiveBytes() }, throws: isCode(.endOfFile))
    }

    @Test func `the wrong direction and a closed handle are errors, of poll too`() async throws {
        let (reader, writer) = try Connection.pipe(duplex: false)
        #expect(reader.isReadable && !reader.isWritable && writer.isWritable && !writer.isReadable)
        await #expect(performing: { try await reader.send(1) }, throws: isCode(.notWritable))
        await #expect(performing: { try await writer.receive(Int.self) }, throws: isCode(.notReadable))
        await #expect(performing: { try await writer.poll() }, throws: isCode(.notReadable))
        await #expect(performing: { try await Connection.wait(for: [writer]) }, throws: isCode(.notReadable))
        #expect(!reader.isClosed)
        reader.close()
        reader.close()
        #expect(reader.isClosed)
        await #expect(performing: { try await reader.receive(Int.self) }, throws: isCode(.closed))
        await #expect(performing: { try await reader.poll() }, throws: isCode(.closed))
        #expect(performing: { try reader.descriptor }, throws: isCode(.closed))
    }

    // MARK: - Waiting, listeners

    @Test func `waiting for nothing takes the time, and less than nothing none`() async throws {
        let nothing: [Connection] = []
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try await Connection.wait(for: nothing, timeout: .milliseconds(50)).isEmpty)
        let waited = clock.now - start
        #expect(waited >= .milliseconds(50))
        let (here, there) = try Connection.pipe()
        #expect(try await Connection.wait(for: [here], timeout: .seconds(-1)).isEmpty)
        there.close()
        #expect(try await Connection.wait(for: [here]).count == 1)
    }

    @Test func `an empty key is a key, and a second listener at an address is an error`() async throws {
        let path = socketPath()
        let listener = try Listener(address: .unix(path: path), authenticationKey: AuthenticationKey([UInt8]()))
        #expect(throws: SystemError.self) { try Listener(address: .unix(path: path)) }
        async let accepted = listener.accept()
        let client = try await Connection.connect(to: listener.address, authenticationKey: AuthenticationKey([UInt8]()))
        try await client.send(4)
        #expect(try await accepted.receive(Int.self) == 4)
        listener.close()
        await #expect(performing: { try await listener.accept() }, throws: isCode(.closed))
        #expect(access(path, F_OK) != 0)
    }
}
