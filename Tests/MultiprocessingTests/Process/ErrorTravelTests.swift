// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import MultiprocessingPrimitives
import MultiprocessingWireCoding
import Testing

import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// Errors of this package that are thrown in a process in a process.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ErrorTravelTests {
    @Test func `a crash two processes down is told as what it is`() async throws {
        let index = 5
        let error = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run {
                try ChildProcess.run { () -> Int in
                    if index >= 3 { fatalError("the index is too large") }
                    return index
                }
            }
        }
        #expect(error?.code == .crashed)
        #expect(error?.message?.contains("the index is too large") == true)
        #expect(error?.processName.contains(":") == true, "\(String(describing: error))")
        #expect(error?.backtrace.isEmpty == false)
    }

    @Test func `a timeout two processes down is told as what it is`() async throws {
        let error = await #expect(throws: TimeoutError.self) {
            try await ChildProcess.run {
                try ChildProcess.run(timeout: .milliseconds(20)) { () -> Int in while true { pause() } }
            }
        }
        #expect(error?.timeout == .milliseconds(20))
    }

    @Test func `errors of locks, memory and processes keep their types on the way`() async throws {
        let lock = try Lock()
        let barrier = try Barrier(parties: 2)
        let child = ChildProcess {
            try lock.acquire()
            kill(getpid(), SIGKILL)
        }
        try child.start()
        try await child.join()
        let pid = child.processIdentifier
        await #expect { try await ChildProcess.run { try lock.withLock {} } } throws: {
            ($0 as? OwnerDied)?.processIdentifier == pid
        }
        await #expect { try await ChildProcess.run { _ = try barrier.wait(timeout: .zero) } } throws: {
            ($0 as? BrokenBarrier)?.timedOut == true
        }
        await #expect { try await ChildProcess.run { try lock.release() } } throws: {
            ($0 as? SynchronizationError)?.code == .notOwner
        }
        await #expect { try await ChildProcess.run { try SharedMemory(size: -1).size } } throws: {
            ($0 as? SharedStateError)?.code == .invalidSize
        }
        await #expect { try await ChildProcess.run { _ = try SharedArray<Int>(count: 1 << 40) } } throws: {
            ($0 as? SystemError)?.code == ENOMEM
        }
        await #expect { try await ChildProcess.run { try ChildProcess {}.kill() } } throws: {
            ($0 as? ProcessError)?.code == .notStarted
        }
    }

    @Test func `errors of queues, connections, managers and messages keep their types and all that they tell`()
        async throws
    {
        let queue = try Queue<Int>(capacity: 1)
        queue.shutDown()
        await #expect { try await ChildProcess.run { try queue.put(1) } } throws: {
            ($0 as? QueueError)?.code == .shutDown && "\($0)".contains("shut down")
        }
        let (here, there) = try Connection.pipe()
        try await here.sendBytes([1, 2, 3])
        try await here.sendBytes([])
        await #expect {
            try await ChildProcess.run {
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2, alignment: 1)
                _ = try there.receiveBytes(into: buffer)
            }
        } throws: {
            ($0 as? ConnectionError)?.code == .bufferTooSmall && ($0 as? ConnectionError)?.receivedBytes == [1, 2, 3]
        }
        await #expect { try await ChildProcess.run { try there.receive([String].self) } } throws: {
            ($0 as? WireCodingError)?.code == .truncated
        }
        let manager = try Manager()
        let number = try await manager.host { 1 }
        kill(manager.processIdentifier, SIGKILL)
        let lost = await #expect(throws: ManagerLost.self) {
            while true { _ = try await number.withValue { $0 } }
        }
        await #expect {
            try await ChildProcess.run { () -> Void in
                if let lost { throw lost }
            }
        } throws: { ($0 as? ManagerLost) == lost && lost?.code == .killed }
    }

    @Test func `errors keep their types on the way from a task of a pool as well`() async throws {
        try await withPool(processes: 1) { pool in
            await #expect { _ = try await pool.apply { try Queue<Int>(capacity: 0).count } } throws: {
                ($0 as? QueueError)?.code == .invalidCapacity
            }
            await #expect { _ = try await pool.apply { try Listener(address: .unix(path: "")).address } } throws: {
                ($0 as? ConnectionError)?.code == .invalidAddress
            }
        }
    }

    @Test func `errors are the same after any coder`() throws {
        func carried<E: Error & Codable>(_ error: E) throws -> E {
            try JSONDecoder().decode(E.self, from: JSONEncoder().encode(error))
        }
        let system = SystemError(code: EAGAIN, operation: "waiting")
        #expect(try carried(system) == system)
        let full = #expect(throws: QueueError.self) { try Queue<Int>(capacity: 0) }
        if let full { #expect(try carried(full) == full) }
        let unreachable = #expect(throws: ConnectionError.self) { try Listener(address: .unix(path: "")) }
        if let unreachable { #expect(try carried(unreachable) == unreachable) }
        let cut = #expect(throws: WireCodingError.self) {
            try [UInt8]().withUnsafeBytes { try WireCoding.decode([String].self, from: $0) }
        }
        if let cut { #expect(try carried(cut) == cut) }
        let lost = #expect(throws: ProcessLost.self) { try ChildProcess.run { () -> Int in abort() } }
        if let lost {
            let copy = try carried(lost)
            #expect(copy == lost && copy.description == lost.description)
        }
    }
}
