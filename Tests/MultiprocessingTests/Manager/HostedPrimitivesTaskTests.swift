// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// Calls the asynchronous `body`, which has to throw `E`.
private func caught<E: Error, R>(_: E.Type, line: Int = #line, _ body: () async throws -> R) async throws -> E {
    do {
        _ = try await body()
    } catch let error as E {
        return error
    }
    throw CheckFailed(description: "line \(line): \(E.self) was not thrown")
}

/// What tasks do with what waits in a manager.
@Suite(.timeLimit(.minutes(30)))
struct HostedPrimitivesTaskTests {
    @Test(arguments: Way.allCases)
    func `a task that is cancelled while it waits takes nothing`(way: Way) async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let (server, address) = try way.manager()
            let manager = try await Manager.connect(to: address, authenticationKey: "key")
            let queue = try await manager.hostedQueue(of: Int.self, capacity: 1)
            let (lock, semaphore) = (try await manager.hostedLock(), try await manager.hostedSemaphore(value: 0))
            let (event, barrier) = (try await manager.hostedEvent(), try await manager.hostedBarrier(parties: 2))
            try await lock.acquire()
            for _ in 0..<20 {
                let tasks: [Task<Void, any Error>] = [
                    Task { _ = try await queue.get() }, Task { _ = try await lock.acquire() },
                    Task { _ = try await semaphore.acquire() }, Task { _ = try await event.wait() },
                    Task { _ = try await barrier.wait() },
                ]
                while try await barrier.waitingCount() == 0 { await Task.yield() }
                for task in tasks { task.cancel() }
                for task in tasks { _ = try await caught(CancellationError.self) { try await task.value } }
                try checkEqual(try await barrier.isBroken(), true)
                try await barrier.reset()
            }
            try await semaphore.release()
            try checkEqual(try await semaphore.acquire(timeout: .zero), true)
            try await queue.put(1)
            let putting = Task { try await queue.put(2) }
            putting.cancel()
            _ = try await caught(CancellationError.self) { try await putting.value }
            try checkEqual(try await queue.get(), 1)
            try checkEqual(try await queue.tryGet(), nil)
            try await lock.release()
            try checkEqual(try await lock.isLocked(), false)
            try await server.shutdown()
        }
    }

    @Test func `a task that is cancelled gives back what it has`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let (lock, semaphore) = (try await manager.hostedLock(), try await manager.hostedSemaphore(value: 1))
            let condition = try await manager.hostedCondition()
            let task = Task {
                try await lock.withLock {
                    try await semaphore.withPermit {
                        try await condition.withLock { () async throws in
                            // The lock is held again when this throws: to release it is no mistake.
                            try await condition.wait()
                        }
                    }
                }
            }
            // It waits once it has all, and the lock of the condition is free.
            while try await semaphore.value() > 0 { await Task.yield() }
            try await condition.withLock {}
            task.cancel()
            _ = try await caught(CancellationError.self) { try await task.value }
            try checkEqual(try await lock.acquire(timeout: .zero), true)
            try checkEqual(try await semaphore.value(), 1)
            try checkEqual(try await condition.acquire(timeout: .zero), true)
            try await manager.shutdown()
        }
    }

    @Test func `tasks of one process hold a lock one at a time, and wait for each other`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let (server, address) = try Way.tcp.manager()
            let manager = try await Manager.connect(to: address, authenticationKey: "key")
            let (lock, number) = (try await manager.hostedLock(), try await manager.host { 0 })
            let (condition, turns) = (try await manager.hostedCondition(), try await manager.list(of: Int.self))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for turn in 0..<50 {
                    group.addTask {
                        try await lock.withLock {
                            let seen = try await number.withValue { $0 }
                            await Task.yield()
                            try await number.withValue(with: seen + 1) { $0 = $1 }
                        }
                        try await condition.withLock { () async throws in
                            try await condition.wait { () async throws in try await turns.count() == turn }
                            try await turns.append(turn)
                            try await condition.notifyAll()
                        }
                    }
                }
                try await group.waitForAll()
            }
            try checkEqual(try await number.withValue { $0 }, 50)
            try checkEqual(try await turns.value(), Array(0..<50))
            try await server.shutdown()
        }
    }

    @Test func `an iteration ends with its queue`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let queue = try await manager.hostedQueue(of: Int.self)
            let sum = Task {
                var sum = 0
                for try await element in queue { sum += element }
                return sum
            }
            for element in 1...100 { try await queue.put(element) }
            try await queue.shutDown()
            try checkEqual(try await sum.value, 5050)
            try await manager.shutdown()
        }
    }
}
