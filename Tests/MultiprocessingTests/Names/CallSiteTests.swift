// SPDX-License-Identifier: Apache-2.0
//
// Calls as users write them, in synchronous and in asynchronous code, with Foundation imported: overloads must be found without help.

import Foundation
import Multiprocessing
import Testing

/// What a program sends along.
private struct Limits: Codable, Sendable {
    var factor = 3
}

private func twice(_ number: Int) -> Int { 2 * number }

private func later(_ number: Int) async throws -> Int {
    await Task.yield()
    return number + 1
}

private func describe(_ text: String, _ limits: Limits) throws {
    guard text.count * limits.factor == 12 else { throw TestFailure() }
}

private func nothing(_ number: Int) {}

private func wait(_ number: Int) async { await Task.yield() }

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct CallSiteTests {
    @Test func `calls from asynchronous code suspend and need no annotation`() async throws {
        let sum = try await ChildProcess.run { 40 + 2 }
        let waited = try await ChildProcess.run(timeout: .seconds(60)) { try await later(sum) }
        let several = try await ChildProcess.run {
            let factor = 2
            return waited * factor
        }
        try await ChildProcess.run { try checkEqual(several, 86) }
        try await ChildProcess.run(target: describe, arguments: "text", Limits())
        try await ChildProcess.run(target: wait, arguments: 1)
        try await ChildProcess.run(target: nothing, arguments: 1)
        #expect(try await ChildProcess.run(target: twice, arguments: 4) == 8)
        #expect(try await ChildProcess.run(target: later, arguments: 4) == 5)
        await #expect(throws: TestFailure.self) {
            try await ChildProcess.run(target: describe, arguments: "", Limits())
        }
        #expect(several == 86)

        let process = ChildProcess { print("", terminator: "") }
        try process.start()
        try await process.join()
        let sleeping = ChildProcess { try await Task.sleep(for: .milliseconds(1)) }
        try sleeping.start()
        #expect(try await sleeping.join(timeout: .seconds(60)))
        let named = ChildProcess(target: describe, arguments: "text", Limits(), name: "call", daemon: true)
        try named.start()
        try await named.join()
        #expect(named.exitCode == 0 && named.name == "call" && named.isDaemon)
    }

    @Test func `locks and values are used with await where the code is asynchronous`() async throws {
        let (lock, recursive, condition) = (try Lock(), try RecursiveLock(), try Condition())
        let (semaphore, bounded, event) = (try Semaphore(value: 4), try BoundedSemaphore(), try Event())
        let (barrier, counter) = (try Barrier(parties: 1), try SharedValue(0))
        try await lock.withLock { counter.value += 1 }
        let seen = try await recursive.withLock { () async throws -> Int in try await later(counter.value) }
        try await semaphore.withPermit { await Task.yield() }
        try await semaphore.withLock { await Task.yield() }
        try await bounded.withLock { counter.value += 0 }
        try onThread { try bounded.withLock { try semaphore.withLock {} } }
        try await bounded.acquire(timeout: .seconds(1))
        try bounded.release()
        try await condition.withLock {
            try condition.notify()
            try await condition.wait(timeout: .zero) { counter.value == 1 }
        }
        event.set()
        #expect(try await event.wait(timeout: .seconds(60)))
        #expect(try await barrier.wait() == 0)
        try await counter.withLock { $0 += seen }
        #expect(counter.value == 3)
    }

    @Test func `calls from synchronous code block and need no annotation`() throws {
        let lock = try Lock()
        let counter = try SharedValue(0)
        let squares = try SharedArray<Int>(count: 10)
        let hits = try SharedAtomic(0)
        let children = (0..<2).map { index in
            ChildProcess(name: "child-\(index)") {
                for index in squares.indices { squares[index] = twice(index) }
                try lock.withLock { _ = hits.wrappingAdd(1) }
                try counter.withLock { $0 += 1 }
            }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(counter.value == 2 && hits.load() == 2 && squares.last == 18)

        try ChildProcess.run(target: nothing, arguments: 1)
        try ChildProcess.run(target: describe, arguments: "text", Limits())
        #expect(try ChildProcess.run(target: twice, arguments: 4) == 8)

        let memory = try SharedMemory(size: 16)
        memory.withUnsafeMutableBytes { $0.storeBytes(of: 7, as: Int.self) }
        let list = try ShareableList([1, 2.5, true, "text", nil])
        try list.replaceElement(at: 3, with: "TEXT")
        let event = try Event()
        let child = ChildProcess(target: nothing, arguments: 4)
        try child.start()
        #expect(try child.join(timeout: .seconds(60)))
        let isSet = try event.wait(timeout: .milliseconds(1))
        #expect(!isSet && list[3] == "TEXT")
        let text = try lock.withLock {
            let number = memory.bytes.unsafeLoad(as: Int.self)
            return "\(number)"
        }
        #expect(text == "7")
        // Foundation's.
        #expect(Process().isRunning == false)
    }
}
