// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// A wait that is cancelled at the very moment of its wake-up: it has it or leaves it to another, and the primitive is sound.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct CancellationRaceTests {
    private static let rounds = 300
    private static let patience = Duration.seconds(60)

    /// Lets two tasks wait, then cancels the first while `wake` is called. Returns what the first got.
    private func race<T: Sendable>(
        _ wait: @escaping @Sendable () async throws -> T,
        until areWaiting: () -> Bool = { true },
        wake: () async throws -> Void
    ) async throws -> Result<T, any Error> {
        let cancelled = Task { try await wait() }
        await Task.yield()
        while !areWaiting() { await Task.yield() }
        async let cancel: Void = cancelled.cancel()
        try await wake()
        await cancel
        return await cancelled.result
    }

    @Test func `of a recursive lock`() async throws {
        let lock = try RecursiveLock()
        for _ in 0..<Self.rounds {
            try await lock.acquire()
            let other = Task { try await lock.acquire(timeout: Self.patience) ? try lock.release() : () }
            _ = try await race {
                try await lock.withLock {}
            } wake: {
                try lock.release()
            }
            try await other.value
        }
        #expect(!lock.isLocked)
    }

    @Test func `of a semaphore`() async throws {
        let semaphore = try Semaphore(value: 0)
        for _ in 0..<Self.rounds {
            let other = Task { try await semaphore.acquire(timeout: Self.patience) }
            let result = try await race {
                try await semaphore.acquire()
            } wake: {
                try semaphore.release()
            }
            // The permit went to one of the two, and to neither twice.
            if case .success = result { try semaphore.release() }
            #expect(try await other.value)
            #expect(semaphore.value == 0)
        }
    }

    @Test func `of a bounded semaphore`() async throws {
        let semaphore = try BoundedSemaphore(value: 1)
        try await semaphore.acquire()
        for _ in 0..<Self.rounds {
            let other = Task { try await semaphore.acquire(timeout: Self.patience) }
            let result = try await race {
                try await semaphore.acquire()
            } wake: {
                try semaphore.release()
            }
            if case .success = result { try semaphore.release() }
            #expect(try await other.value)
            #expect(semaphore.value == 0)
        }
    }

    @Test func `of an event`() async throws {
        let event = try Event()
        for _ in 0..<Self.rounds {
            let other = Task { try await event.wait(timeout: Self.patience) }
            _ = try await race {
                try await event.wait()
            } wake: {
                event.set()
            }
            #expect(try await other.value)
            event.clear()
        }
    }

    @Test func `of a condition`() async throws {
        let condition = try Condition(lock: try Lock())
        for _ in 0..<Self.rounds {
            let other = Task {
                try await condition.withLock { () async throws in try await condition.wait(timeout: Self.patience) }
            }
            let result = try await race {
                try await condition.withLock { () async throws in try await condition.wait() }
            } until: {
                "\(condition)".hasSuffix("waiting: 2)")
            } wake: {
                try await condition.withLock { try condition.notify() }
            }
            // One notification for one of the two.
            if case .success = result { try await condition.withLock { try condition.notify() } }
            #expect(try await other.value)
            #expect("\(condition)" == "Condition(Lock(owner: none), waiting: 0)")
        }
    }

    @Test func `of a barrier`() async throws {
        let barrier = try Barrier(parties: 2)
        for _ in 0..<Self.rounds {
            var last: Result<Int, any Error>?
            let first = try await race {
                try await barrier.wait()
            } until: {
                barrier.waitingCount == 1
            } wake: {
                do { last = .success(try await barrier.wait(timeout: Self.patience)) } catch { last = .failure(error) }
            }
            // Both have passed, or neither.
            switch (first, last) {
            case (.success(let a), .success(let b)): #expect(a + b == 1)
            case (.failure(let error), .failure(let other)):
                #expect(error is CancellationError && other is BrokenBarrier)
            default: Issue.record("one passed alone: \(first), \(String(describing: last))")
            }
            try await barrier.reset()
        }
    }
}
