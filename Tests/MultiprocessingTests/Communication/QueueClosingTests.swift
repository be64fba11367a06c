// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing
@testable import MultiprocessingChannels

/// What becomes of calls that wait when the handle that they wait with is closed.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct QueueClosingTests {
    /// What a call waits for, and as what.
    enum Way: CaseIterable, Codable {
        case getOnThread, getInTask, iterate, putOnThread, putInTask, joinOnThread, joinInTask

        /// Waits until the handle is closed.
        func wait(_ queue: JoinableQueue<Int>) async throws {
            switch self {
            case .getOnThread: _ = try onThread { try queue.get() }
            case .getInTask: _ = try await queue.get()
            case .iterate: for try await _ in queue {}
            case .putOnThread: try onThread { try queue.put(2) }
            case .putInTask: try await queue.put(2)
            case .joinOnThread: _ = try onThread { try queue.join() }
            case .joinInTask: _ = try await queue.join()
            }
        }

        var fillsQueue: Bool {
            switch self {
            case .getOnThread, .getInTask, .iterate: false
            default: true
            }
        }
    }

    /// Whether somebody sleeps in the kernel for messages, room or the end of all work.
    private static func hasSleeper(_ queue: JoinableQueue<Int>) -> Bool {
        let ring = queue.core.ring
        return [ring.items, ring.space, ring.joiners].contains { $0.load() & Ring.waiting != 0 }
    }

    /// Whether a task waits by the bell.
    private static func hasTask(_ queue: JoinableQueue<Int>) -> Bool {
        let ring = queue.core.ring
        let bells = [Ring.Offset.itemsBell, Ring.Offset.spaceBell, Ring.Offset.joinersBell]
        return bells.contains { ring.word($0).pointee.load(ordering: .acquiring) != 0 }
    }

    private static func checkClosed(_ result: Result<Void, any Error>) throws {
        guard case .failure(let error) = result else { return try check(false, "it did not throw") }
        try checkEqual((error as? QueueError)?.code, .closed)
    }

    @Test(arguments: Way.allCases)
    func `a call that waits ends when its handle is closed`(way: Way) async throws {
        try await apart(timeout: .seconds(300)) {
            let queue = try JoinableQueue<Int>(capacity: 1)
            if way.fillsQueue { try await queue.put(1) }
            let call = Task { try await way.wait(queue) }
            while !Self.hasSleeper(queue), !Self.hasTask(queue) { await Task.yield() }
            queue.close()
            try Self.checkClosed(await call.result)
        }
    }

    @Test func `threads that wait behind another process go when their handle is closed, and that one goes on`()
        async throws
    {
        try await behindAnotherProcess { handle in
            let calls = try (0..<3).map { _ in try onThreadAsync { _ = try handle.get() } }
            // They wait for the lock that the other process sleeps with.
            let lock = handle.core.ring.word(Ring.Offset.consumers)
            while lock.pointee.load(ordering: .relaxed) & Ring.waiting == 0 { await Task.yield() }
            handle.close()
            for call in calls { try Self.checkClosed(Result { try call.get() }) }
        }
    }

    @Test func `tasks that wait behind another process go when their handle is closed, and that one goes on`()
        async throws
    {
        try await behindAnotherProcess { handle in
            let calls = (0..<3).map { _ in Task { _ = try await handle.get() } }
            while !Self.hasTask(handle) { await Task.yield() }
            handle.close()
            for call in calls { try Self.checkClosed(await call.result) }
        }
    }

    /// Calls `body` with a handle on a queue that another process waits for, which then gets an element.
    private func behindAnotherProcess(
        _ body: @escaping @Sendable (JoinableQueue<Int>) async throws -> Void
    ) async throws {
        try await apart(timeout: .seconds(300)) {
            let (queue, other) = (try JoinableQueue<Int>(capacity: 1), try JoinableQueue<Int>())
            let child = ChildProcess { try other.put(try queue.get()) }
            try child.start()
            while !Self.hasSleeper(queue) { await Task.yield() }
            let handle = try Self.secondHandle(queue)
            try await body(handle)
            try await queue.put(7)
            let element = try await other.get()
            try checkEqual(element, 7)
            try await child.join()
        }
    }

    /// Another handle of this process on the same queue.
    private static func secondHandle(_ queue: JoinableQueue<Int>) throws -> JoinableQueue<Int> {
        let (here, there) = try Connection.pipe()
        try onThread { try there.send(queue) }
        return try onThread { try here.receive(JoinableQueue<Int>.self) }
    }
}
