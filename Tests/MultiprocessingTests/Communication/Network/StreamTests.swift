// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The two ends of a stream connection in this process.
func streamPair(
    _ address: Address? = .tcp(host: "127.0.0.1", port: 0),
    maximumMessageSize: Int = Connection.defaultMaximumMessageSize
) async throws -> (Connection, Connection) {
    let listener = try Listener(address: address, maximumMessageSize: maximumMessageSize)
    async let connector = Connection.connect(to: listener.address, maximumMessageSize: maximumMessageSize)
    return (try await listener.accept(), try await connector)
}

/// Connections over streams: what connections over shared memory do, and what only streams can.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct StreamTests {
    @Test func `messages of any size and kind keep their order and their bounds`() async throws {
        let (here, there) = try await streamPair()
        let sizes = [0, 1, 7, 8, 9, 4096, 65_535, 65_536, 65_537, 3_000_000, 5]
        let sending = try onThreadAsync {
            for size in sizes { try here.sendBytes([UInt8](repeating: UInt8(size & 0xff), count: size)) }
            try here.send("end")
        }
        for (index, size) in sizes.enumerated() {
            let expected = [UInt8](repeating: UInt8(size & 0xff), count: size)
            if index.isMultiple(of: 2) {
                #expect(try await there.receiveBytes() == expected)
            } else {
                #expect(try onThread { try there.receiveBytes() } == expected)
            }
        }
        #expect(try await there.receive(String.self) == "end")
        try sending.get()
        try await there.sendBytes([1, 2, 3])
        await #expect(performing: { try await here.receiveBytes(maxLength: 2) }, throws: isCode(.messageTooLong))
        try onThread {
            try there.sendBytes([1, 2, 3])
            try there.sendBytes([4])
            try withUnsafeTemporaryAllocation(byteCount: 2, alignment: 1) { buffer in
                do {
                    _ = try here.receiveBytes(into: buffer)
                    throw TestFailure()
                } catch let error as ConnectionError {
                    try checkEqual(error.receivedBytes, [1, 2, 3])
                }
                try check(try here.receiveBytes(into: buffer) == 1 && buffer[0] == 4)
            }
        }
    }

    @Test func `waits end with their time, their task, and the handle, and lose nothing`() async throws {
        let (here, there) = try await streamPair()
        #expect(try await !here.poll())
        #expect(try await !here.poll(timeout: .milliseconds(10)))
        await #expect(throws: TimeoutError.self) { try await here.receive(Int.self, timeout: .zero) }
        #expect(throws: TimeoutError.self) { try onThread { try here.receive(Int.self, timeout: .milliseconds(10)) } }
        let cancelled = Task { try await here.receive(Int.self) }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        try await there.send(1)
        #expect(try await here.poll(timeout: nil))
        #expect(try onThread { try here.poll(timeout: nil) })
        #expect(try await here.receive(Int.self) == 1)

        let task = Task { try await here.receive(Int.self) }
        let polling = Task { try await here.poll(timeout: nil) }
        let thread = try onThreadAsync { try there.receive(Int.self) }
        here.close()
        await #expect(performing: { try await task.value }, throws: isCode(.closed))
        await #expect(performing: { try await polling.value }, throws: isCode(.closed))
        #expect(performing: { try thread.get() }, throws: isCode(.endOfFile))
        await #expect(performing: { try await here.send(1) }, throws: isCode(.closed))
        #expect(try await there.poll())
    }

    @Test func `closing wakes a thread that waits`() async throws {
        let (here, there) = try await streamPair()
        let thread = try onThreadAsync { try here.receive(Int.self) }
        try await there.sendBytes([])
        // Whether it waits yet or not.
        here.close()
        #expect(throws: (any Error).self) { try thread.get() }
    }

    @Test(arguments: [false, true])
    func `a peer that stops reading makes send wait, then time out, and what was begun comes whole`(
        isAsync: Bool
    ) async throws {
        let (here, there) = try await streamPair()
        let block = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var sent = 0
        await #expect(throws: TimeoutError.self) {
            while true {
                if isAsync {
                    try await here.sendBytes(block, timeout: .milliseconds(30))
                } else {
                    try onThread { try here.sendBytes(block, timeout: .milliseconds(30)) }
                }
                sent += 1
            }
        }
        // What the kernel buffers, and the one whose rest is waiting.
        #expect((1...40).contains(sent))
        await #expect(throws: TimeoutError.self) { try await here.send(1, timeout: .zero) }
        for _ in 0..<sent { #expect(try await there.receiveBytes() == block) }
        try await here.send("after")
        here.close()
        #expect(try await there.receive(String.self) == "after")
        await #expect(performing: { try await there.receive(Int.self) }, throws: isCode(.endOfFile))
    }

    @Test func `a send that is cancelled sends the whole message or nothing`() async throws {
        let (here, there) = try await streamPair()
        let block = [UInt8](repeating: 9, count: 20_000_000)
        let sending = Task { try await here.sendBytes(block) }
        // A part of it is there.
        #expect(try await there.poll(timeout: nil))
        sending.cancel()
        try await sending.value
        let other = Task { try await here.sendBytes([1]) }
        #expect(try await there.receiveBytes() == block)
        try await other.value
        #expect(try await there.receiveBytes() == [1])
        // Closed in between: the rest goes its way all the same.
        try await here.sendBytes(block, timeout: .milliseconds(1))
        here.close()
        #expect(try await there.receiveBytes() == block)
    }

    @Test func `a message larger than the other end takes is an error of the sender, and nothing is sent`() async throws
    {
        let (here, there) = try await streamPair(maximumMessageSize: 1000)
        try await here.sendBytes([UInt8](repeating: 1, count: 1000))
        await #expect(
            performing: { try await here.sendBytes([UInt8](repeating: 1, count: 1001)) },
            throws: isCode(.messageTooLong)
        )
        try await here.sendBytes([2])
        #expect(try await there.receiveBytes().count == 1000)
        #expect(try await there.receiveBytes() == [2])
    }

    @Test func `handles do not go through TCP, and the error is the sender's`() async throws {
        let (here, there) = try await streamPair()
        let (end, _) = try Connection.pipe()
        await #expect(throws: HandleNotPortable.self) { try await here.send([try Lock()]) }
        await #expect(throws: HandleNotPortable.self) { try await here.send(try Queue<Int>()) }
        await #expect(throws: HandleNotPortable.self) { try await here.send(end) }
        do {
            try await here.send(try SharedValue(1))
        } catch {
            #expect("\(error)".contains("carries no descriptors"))
        }
        try await here.send("next")
        #expect(try await there.receive(String.self) == "next")
    }

    @Test(arguments: [true, false])
    func `over a Unix socket handles go along`(isAbstract: Bool) async throws {
        let path = socketPath()
        try await isolated {
            let listener = try Listener(address: isAbstract ? nil : .unix(path: path), authenticationKey: "k")
            let address = listener.address
            let child = ChildProcess {
                let connection = try await Connection.connect(to: address, authenticationKey: "k")
                for number in 0..<100 {
                    let queue = try await connection.receive(Queue<Int>.self)
                    try await connection.send(number)
                    try await queue.put(number)
                }
                let values = try await connection.receive([SharedValue<Int>].self)
                for value in values { try await value.withLock { $0 += 1 } }
                try await connection.send(values.count)
            }
            try child.start()
            let connection = try listener.accept()
            for number in 0..<100 {
                let queue = try Queue<Int>()
                try connection.send(queue)
                try checkEqual(try connection.receive(Int.self), number)
                try checkEqual(try queue.get(), number)
            }
            let values = try (0..<200).map { try SharedValue($0) }
            try connection.send(values)
            try checkEqual(try connection.receive(Int.self), 200)
            try check(values.enumerated().allSatisfy { $1.value == $0 + 1 })
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            // Handles that nobody takes out are closed with the message.
            let late = try Connection.connect(to: address, authenticationKey: "k")
            try late.send(try Lock())
            let other = try listener.accept()
            try check(try other.poll(timeout: nil))
        }
    }

    @Test func `an accepted connection goes on in a child that it is sent to`() async throws {
        try await isolated {
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0))
            let client = try Connection.connect(to: listener.address)
            let accepted = try listener.accept()
            let child = ChildProcess {
                let number: Int = try accepted.receive()
                try accepted.send(number * 2)
            }
            try child.start()
            accepted.close()
            try client.send(21)
            try checkEqual(try client.receive(Int.self), 42)
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            do {
                _ = try client.receive(Int.self)
                throw CheckFailed(description: "no end of file")
            } catch let error as ConnectionError {
                try checkEqual(error.code, .endOfFile)
            }
        }
    }

    @Test func `threads and tasks share both ends, and each message is received by one`() async throws {
        let (here, there) = try await streamPair()
        let count = 400
        let results = try Queue<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for number in 0..<count / 8 { try await here.send([worker * 1000 + number]) }
                }
                group.addTask {
                    for _ in 0..<count / 8 { try await results.put(try await there.receive([Int].self)[0]) }
                }
            }
            let threads = try (4..<8).map { worker in
                try onThreadAsync {
                    for number in 0..<count / 8 { try here.send([worker * 1000 + number]) }
                    for _ in 0..<count / 8 { try results.put(try there.receive([Int].self)[0]) }
                }
            }
            try await group.waitForAll()
            for thread in threads { try thread.get() }
        }
        var received = Set<Int>()
        while let number = try results.tryGet() { received.insert(number) }
        #expect(received.count == count)
    }

    @Test func `an idle stream uses no processor time`() async throws {
        try await isolated {
            let listener = try Listener()
            let (here, there) = (try Connection.connect(to: listener.address), try listener.accept())
            let waiting = try onThreadAsync { try there.receive(Int.self) }
            let before = clock()
            _ = try? here.receive(Int.self, timeout: .milliseconds(300))
            // Processor time of the whole process, in microseconds.
            let used = clock() - before
            try here.send(1)
            try checkEqual(try waiting.get(), 1)
            try check(used < 20_000, "\(used) µs")
        }
    }
}
