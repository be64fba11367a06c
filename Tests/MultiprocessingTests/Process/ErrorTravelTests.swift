// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import MultiprocessingPrimitives
import Testing

import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// Errors of this package that are thrown in a process in a process.
@Suite(.timeLimit(.minutes(10)), .leavesNothing)
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

    @Test func `errors are the same after any coder`() throws {
        func carried<E: Error & Codable>(_ error: E) throws -> E {
            try JSONDecoder().decode(E.self, from: JSONEncoder().encode(error))
        }
        let system = SystemError(code: EAGAIN, operation: "waiting")
        #expect(try carried(system) == system)
        let lost = #expect(throws: ProcessLost.self) { try ChildProcess.run { () -> Int in abort() } }
        if let lost {
            let copy = try carried(lost)
            #expect(copy == lost && copy.description == lost.description)
        }
    }
}
