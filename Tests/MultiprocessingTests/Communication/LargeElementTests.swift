// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Elements and messages so large that they are read where they lie.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct LargeElementTests {
    /// A large value that may have handles.
    private struct Parcel: Codable, Sendable {
        var texts: [String]
        var event: Event?

        init(_ count: Int, event: Event? = nil) {
            texts = (0..<count).map { "text \($0)" }
            self.event = event
        }
    }

    @Test func `flat and other values pass through queues and connections, blocking and not`() async throws {
        let queue = try Queue<[UInt8]>()
        let texts = try Queue<[String]>()
        let (here, there) = try Connection.pipe()
        for size in [262_143, 262_144, 300_000, 1 << 20, 9_000_001] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
            let words = (0..<size / 12).map { "word \($0)" }
            try await queue.put(bytes)
            #expect(try queue.tryGet() == bytes)
            try onThread { try queue.put(bytes) }
            #expect(try await queue.get() == bytes)
            try await texts.put(words)
            #expect(try onThread { try texts.get() } == words)
            try onThread { try texts.put(words) }
            #expect(try await texts.get() == words)

            try await here.send(bytes)
            #expect(try onThread { try there.receive([UInt8].self) } == bytes)
            try onThread { try here.send(words) }
            #expect(try await there.receive([String].self) == words)
            try onThread { try here.send(words) }
            #expect(try onThread { try there.receive([String].self) } == words)
            try await here.sendBytes(bytes)
            #expect(try onThread { try there.receiveBytes() } == bytes)
            try await here.sendBytes(bytes)
            await #expect(performing: { try await there.receiveBytes(maxLength: 9) }, throws: isCode(.messageTooLong))
            try await here.sendBytes(bytes)
            #expect(
                performing: { try onThread { try there.receiveBytes(maxLength: 9) } },
                throws: isCode(.messageTooLong)
            )
            try await here.sendBytes(bytes)
            #expect(
                performing: { try onThread { try there.receive([String].self) } },
                throws: { !($0 is TimeoutError) }
            )
            try await here.send(1)
            #expect(try await there.receive(Int.self) == 1)
        }
    }

    @Test func `bytes go into the caller's memory, blocking and not, of connections of both kinds`() async throws {
        let (near, far) = try await streamPair()
        let (here, there) = try Connection.pipe()
        for (sender, receiver) in [(here, there), (near, far)] {
            for size in [0, 5, 70_000, 1 << 20] {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 1, alignment: 1)
                defer { memory.deallocate() }
                let sending = Task { try await sender.sendBytes(bytes) }
                #expect(try await receiver.receiveBytes(into: memory) == size)
                try await sending.value
                #expect(memory.prefix(size).elementsEqual(bytes))
                memory.copyBytes(from: bytes)
                let other = try onThreadAsync { try receiver.receiveBytes() }
                try await sender.sendBytes(UnsafeRawBufferPointer(rebasing: memory.prefix(size)))
                #expect(try other.get() == bytes)
            }
            let small = UnsafeMutableRawBufferPointer.allocate(byteCount: 2, alignment: 1)
            defer { small.deallocate() }
            try await sender.sendBytes([1, 2, 3])
            await #expect {
                _ = try await receiver.receiveBytes(into: small)
            } throws: {
                ($0 as? ConnectionError)?.receivedBytes == [1, 2, 3]
            }
            await #expect(throws: TimeoutError.self) {
                try await receiver.receiveBytes(into: small, timeout: .milliseconds(5))
            }
        }
    }

    @Test func `children of every start method put and take large elements`() async throws {
        try await isolated {
            let (requests, answers) = (try Queue<[Int]>(), try Queue<[Int]>())
            for method in [StartMethod.forkServer, .spawn, .fork] {
                let child = ChildProcess(startMethod: method) {
                    for _ in 0..<20 { try answers.put(try requests.get().reversed()) }
                }
                try child.start()
                for round in 0..<20 {
                    let numbers = Array(0..<50_000 + round)
                    try requests.put(numbers)
                    try check(try answers.get() == numbers.reversed())
                }
                try child.join()
                try checkEqual(child.exitCode, 0)
                try child.close()
            }
        }
    }

    @Test func `handles come with large elements`() throws {
        let queue = try Queue<Parcel>()
        for _ in 0..<20 {
            let event = try Event()
            try queue.put(Parcel(40_000, event: event))
            let value = try queue.get()
            value.event?.set()
            #expect(event.isSet && value.texts.count == 40_000 && value.texts.last == "text 39999")
        }
    }
}
