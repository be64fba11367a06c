// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ConnectionTests {
    @Test(arguments: 0..<2)
    func `values go there and back between processes`(methodNumber: Int) async throws {
        try await isolated {
            let method = [StartMethod.forkServer, .spawn][methodNumber]
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess(startMethod: method) {
                while let words: [String] = try? child.receive() { try child.send(words.count) }
            }
            try process.start()
            child.close()
            for count in [0, 1, 1000, 100_000] {
                try parent.send([String](repeating: "word", count: count))
                try checkEqual(try parent.receive(Int.self), count)
            }
            parent.close()
            try process.join()
            try process.close()
        }
    }

    @Test func `everything sent is received before the end of file`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess { for number in 0..<1000 { try child.send(number) } }
            try process.start()
            child.close()
            try process.join()
            try process.close()
            for number in 0..<1000 { try checkEqual(try parent.receive(Int.self), number) }
            try checkEnd { try parent.receive(Int.self) }
            try checkEnd { try parent.send(1) }
            try check(try parent.poll())
        }
    }

    @Test func `a peer that is killed while one waits for it gives the end of file`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess {
                try child.send("ready")
                while true { pause() }
            }
            try process.start()
            child.close()
            try checkEqual(try parent.receive(String.self), "ready")
            let waiting = try onThreadAsync { try checkEnd { try parent.receive(String.self) } }
            try process.kill()
            try waiting.get()
            try checkEnd { try parent.receive(String.self) }
            try process.join()
            try process.close()
        }
    }

    @Test func `a peer that closes its end gives the end of file at once`() async throws {
        // In a process of its own: another test could fork this one while the end is open.
        try await apart(timeout: .seconds(300)) {
            let (here, there) = try Connection.pipe()
            try await there.send(1)
            there.close()
            there.close()
            try check(there.isClosed)
            try await checkCode(.endOfFile) { try await here.send(2) }
            try checkEqual(try await here.receive(Int.self), 1)
            try await checkCode(.endOfFile) { try await here.receive(Int.self) }
            try await checkCode(.closed) { try await there.receive(Int.self) }

            // While somebody waits.
            let (left, right) = try Connection.pipe()
            let task = Task { try await left.receive(Int.self) }
            let thread = try onThreadAsync { try right.receive(Int.self) }
            right.close()
            try await checkCode(.endOfFile) { try await task.value }
            try await checkCode(.closed) { try thread.get() }
        }
    }

    @Test func `a peer that stops reading makes send wait, then time out, and memory does not grow`() throws {
        let (here, there) = try Connection.pipe()
        let block = [UInt8](repeating: 7, count: 100_000)
        var sent = 0
        #expect(throws: TimeoutError.self) {
            while true {
                try here.sendBytes(block, timeout: .milliseconds(20))
                sent += 1
            }
        }
        #expect((2...50).contains(sent))
        for _ in 0..<sent { #expect(try there.receiveBytes() == block) }
        try here.sendBytes(block, timeout: .zero)
        #expect(try there.receiveBytes().count == block.count)
    }

    @Test func `one direction only`() throws {
        let (receiver, sender) = try Connection.pipe(duplex: false)
        #expect(receiver.isReadable && !receiver.isWritable && sender.isWritable && !sender.isReadable)
        try sender.send("x")
        #expect(try receiver.receive(String.self) == "x")
        #expect { try receiver.send(1) } throws: { ($0 as? ConnectionError)?.code == .notWritable }
        #expect { try sender.receive(Int.self) } throws: { ($0 as? ConnectionError)?.code == .notReadable }
        #expect { try sender.poll() } throws: { ($0 as? ConnectionError)?.code == .notReadable }
    }

    @Test func `bytes are messages with their limits, and empty messages are messages`() throws {
        let (here, there) = try Connection.pipe()
        for size in [0, 1, 100_000] { try here.sendBytes([UInt8](repeating: 1, count: size)) }
        for size in [0, 1, 100_000] { #expect(try there.receiveBytes().count == size) }
        // More than there is to be on the way: alone it may.
        try here.sendBytes([UInt8](repeating: 1, count: 9_000_000))
        #expect(try there.receiveBytes().count == 9_000_000)
        try here.sendBytes([1, 2, 3])
        #expect { try there.receiveBytes(maxLength: 2) } throws: { ($0 as? ConnectionError)?.code == .messageTooLong }
        try here.sendBytes([1, 2, 3])
        try here.sendBytes([4])
        withUnsafeTemporaryAllocation(byteCount: 2, alignment: 1) { buffer in
            #expect { try there.receiveBytes(into: buffer) } throws: {
                ($0 as? ConnectionError)?.receivedBytes == [1, 2, 3]
            }
            #expect((try? there.receiveBytes(into: buffer)) == 1 && buffer[0] == 4)
        }
    }

    @Test func `poll tells whether something can be received, and takes nothing`() async throws {
        // In a process of its own: another test could fork this one while the end is open.
        try await apart(timeout: .seconds(300)) {
            let (here, there) = try Connection.pipe()
            try await checkEqual(there.poll(), false)
            try await checkEqual(there.poll(timeout: .milliseconds(10)), false)
            try await checkEqual(there.poll(timeout: .seconds(-1)), false)
            try await here.send(1)
            try await checkEqual(there.poll(), true)
            try await checkEqual(there.poll(timeout: nil), true)
            try await checkEqual(there.receive(Int.self), 1)
            let waiting = Task { try await there.poll(timeout: .seconds(30)) }
            try await here.send(2)
            try await checkEqual(waiting.value, true)
            here.close()
            try await checkEqual(there.receive(Int.self), 2)
            try await checkEqual(there.poll(), true)
        }
    }

    @Test func `connections, queues and locks travel through connections`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess {
                let inner: Connection = try child.receive()
                let queue: Queue<Int> = try child.receive()
                let lock: Lock = try child.receive()
                try lock.withLock { try inner.send(try queue.get()) }
            }
            try process.start()
            child.close()
            let (here, there) = try Connection.pipe()
            let queue = try Queue<Int>()
            try parent.send(there)
            there.close()
            try parent.send(queue)
            try parent.send(try Lock())
            try queue.put(42)
            try checkEqual(try here.receive(Int.self), 42)
            try checkEnd { try here.receive(Int.self) }
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
        }
    }

    @Test func `what is no value of the type is an error of that receive alone`() throws {
        let (here, there) = try Connection.pipe()
        try here.send("text")
        try here.send(5)
        #expect(throws: (any Error).self) { try there.receive([Int].self) }
        #expect(try there.receive(Int.self) == 5)
    }

    @Test func `many tasks talk over many connections`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                let (here, there) = try Connection.pipe()
                group.addTask {
                    for _ in 0..<20 { try await here.send(try await here.receive(Int.self) + 1) }
                }
                group.addTask {
                    var value = number
                    for _ in 0..<20 {
                        try await there.send(value)
                        value = try await there.receive()
                    }
                    #expect(value == number + 20)
                }
            }
            try await group.waitForAll()
        }
    }
}

/// Throws unless `body` throws a `ConnectionError` with `code`.
private func checkCode<R>(_ code: ConnectionError.Code, line: Int = #line, _ body: () async throws -> R) async throws {
    do {
        _ = try await body()
    } catch let error as ConnectionError where error.code == code {
        return
    }
    throw CheckFailed(description: "line \(line): not \(code)")
}

/// Throws unless `body` throws the end of file.
private func checkEnd<R>(line: Int = #line, _ body: () throws -> R) throws {
    do {
        _ = try body()
    } catch let error as ConnectionError where error.code == .endOfFile {
        return
    }
    throw CheckFailed(description: "line \(line): no end of file")
}
