// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import MultiprocessingPrimitives
import Synchronization
import Testing

/// Something that cannot be encoded.
private final class Counter: Sendable {
    private let value = Atomic(0)

    var current: Int { value.load(ordering: .acquiring) }

    func add() { value.add(1, ordering: .acquiringAndReleasing) }
}

private struct Refused: Error { let counter: Counter }

private func square(_ n: Int) -> Int { n * n }

/// Works on any pool.
private func sumOfSquares(_ numbers: Range<Int>, on pool: some WorkerPool) throws -> Int {
    let later = try pool.applyAsync(square, 10)
    let first = try pool.map(numbers, square).reduce(0, +)
    return try first + pool.apply { 1 } + pool.apply(square, 3) + later.get()
        + pool.map(["a"], with: 2) { $0.count * $1 }.reduce(0, +)
}

/// Threads behind the interface of a pool.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ThreadPoolTests {
    @Test func `a function can take pools of processes and of threads, and the inline pool`() async throws {
        try await isolated {
            let expected = (0..<100).reduce(0) { $0 + $1 * $1 } + 1 + 9 + 100 + 2
            try withPool(processes: 2) { try checkEqual(try sumOfSquares(0..<100, on: $0), expected) }
            let threads = try ThreadPool(threads: 2)
            try checkEqual(try sumOfSquares(0..<100, on: threads), expected)
            threads.close()
            try threads.join()
            let inline = try Pool.inline
            try checkEqual(try sumOfSquares(0..<100, on: inline), expected)
        }
    }

    @Test func `items, results and errors are the objects they are`() throws {
        let pool = try ThreadPool(threads: 3)
        let counters = (0..<100).map { _ in Counter() }
        let same = try pool.map(counters) { counter -> Counter in
            counter.add()
            return counter
        }
        #expect(zip(counters, same).allSatisfy { $0 === $1 && $0.current == 1 })
        let refused = #expect(throws: Refused.self) {
            try pool.apply { throw Refused(counter: counters[7]) }
        }
        #expect(refused?.counter === counters[7])
        #expect(try pool.starmap([(2, "a"), (3, "b")]) { String(repeating: $1, count: $0) } == ["aa", "bbb"])
        let results = try pool.mapResults(0..<10) { n throws -> Int in
            if n == 5 { throw Refused(counter: counters[0]) }
            return n
        }
        #expect(results.count == 10)
        #expect(results.map { (try? $0.get()) ?? -1 } == [0, 1, 2, 3, 4, -1, 6, 7, 8, 9])
        pool.terminate()
        try pool.join()
    }

    @Test func `tasks run at the same time, on as many threads as there are`() throws {
        let pool = try ThreadPool(threads: 4)
        // Passes only when all four are there together.
        let there = Counter()
        let met = try pool.map(0..<4, chunkSize: 1) { _ -> Bool in
            there.add()
            let deadline = ContinuousClock.now + .seconds(60)
            while there.current < 4, ContinuousClock.now < deadline { sched_yield() }
            return there.current == 4
        }
        #expect(met == [true, true, true, true])
        #expect(pool.statistics.workers.count == 4)
        #expect(pool.statistics.workers.allSatisfy { $0.processIdentifier == nil })
    }

    @Test func `a thread that hangs is replaced, and its call fails`() throws {
        let pool = try ThreadPool(threads: 1)
        let gate = Semaphore()
        #expect(throws: TimeoutError.self) {
            try pool.apply(options: TaskOptions(timeout: .milliseconds(20))) { gate.wait() }
        }
        #expect(try pool.apply(square, 4) == 16)
        #expect(pool.statistics.restarts == 1)
        let hanging = try pool.applyAsync { gate.wait() }
        hanging.cancel()
        #expect(throws: CancellationError.self) { try hanging.get() }
        #expect(try pool.apply(square, 5) == 25)
        let last = try pool.applyAsync { gate.wait() }
        pool.terminate()
        try pool.join()
        #expect(throws: PoolError.self) { try last.get() }
        for _ in 0..<3 { gate.signal() }
    }

    @Test func `deadlines hold for each element`() throws {
        let pool = try ThreadPool(threads: 2)
        let gate = Semaphore()
        let results = try pool.mapResults(0..<10, options: TaskOptions(timeout: .seconds(3))) { n in
            if n == 3 { gate.wait() }
            return n
        }
        for (n, result) in results.enumerated() {
            if n == 3 {
                #expect(throws: TimeoutError.self) { try result.get() }
            } else {
                #expect((try? result.get()) == n)
            }
        }
        gate.signal()
    }

    @Test func `asynchronous functions and callers work, and cancelling reaches the function`() async throws {
        let pool = try ThreadPool(threads: 2)
        #expect(
            try await pool.map(0..<100) { n async in
                await Task.yield()
                return n + 1
            } == Array(1...100)
        )
        #expect(try await pool.apply(square, 7) == 49)
        let began = try Event()
        let call = Task {
            try await pool.apply { () async throws -> Int in
                began.set()
                try await Task.sleep(for: .seconds(600))
                return 1
            }
        }
        // Not a loop that yields: it keeps the task that it waits for from being begun.
        #expect(try await began.wait(timeout: .seconds(60)))
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        #expect(try await pool.apply(square, 8) == 64)
    }

    @Test func `an initializer runs once on each thread, and one that fails ends the pool's tries`() throws {
        let calls = Counter()
        let pool = try ThreadPool(threads: 3) { calls.add() }
        _ = try pool.map(0..<100, square)
        pool.close()
        try pool.join()
        #expect(calls.current <= 3 && calls.current >= 1)
        let failing = try ThreadPool(threads: 2) { throw Refused(counter: calls) }
        let error = #expect(throws: PoolError.self) { try failing.apply(square, 1) }
        #expect(error?.code == .workersFail)
    }

    @Test func `a dropped pool ends its threads and callbacks are called`() async throws {
        try await isolated {
            let count = Counter()
            let pool = try ThreadPool(threads: 4)
            let done = try pool.mapAsync(0..<10, onSuccess: { _ in count.add() }, square)
            try checkEqual(try done.get(), (0..<10).map(square))
            let failed = try pool.applyAsync(onFailure: { _ in count.add() }) { () throws -> Int in
                throw Refused(counter: count)
            }
            _ = try failed.wait()
            pool.close()
            try pool.join()
            try checkEqual(count.current, 2)
            _ = try ThreadPool(threads: 2).map(0..<10, square)
        }
    }

    @Test func `many threads and tasks submit at once`() async throws {
        let pool = try ThreadPool(threads: 2)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for n in 0..<200 { group.addTask { try await pool.apply(square, n) } }
            var sum = 0
            for try await value in group { sum += value }
            #expect(sum == (0..<200).reduce(0) { $0 + $1 * $1 })
        }
    }

    /// A counting semaphore of this process's threads.
    ///
    /// `@unchecked Sendable` is safe because the pointer never changes.
    private final class Semaphore: @unchecked Sendable {
        private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

        init() { sem_init(semaphore, 0, 0) }

        deinit { semaphore.deallocate() }

        func signal() { sem_post(semaphore) }

        func wait() { while sem_wait(semaphore) != 0 {} }
    }

    @Test func `a result keeps its pool`() throws {
        #expect(try ThreadPool(threads: 1).applyAsync(square, 4).get() == 16)
        #expect(try ThreadPool(threads: 1).mapAsync(0..<3, square).get() == [0, 1, 4])
        let sums = try ThreadPool(threads: 1).starmapAsync([(1, 2)]) { $0 + $1 }
        #expect(try sums.get() == [3])
        #expect(try ThreadPool(threads: 1).trySubmit(square, 4)?.get() == 16)
    }

    @Test func `a pool whose initializer hangs is terminated and joined all the same`() throws {
        let begun = try Event()
        let end = try Event()
        let pool = try ThreadPool(threads: 2) {
            begun.set()
            _ = try end.wait()
        }
        let result = try pool.applyAsync(square, 1)
        _ = try begun.wait()
        pool.terminate()
        try pool.join()
        _ = try checkThrows(PoolError.self) { _ = try result.get() }
        end.set()
    }

    @Test func `a full queue suspends asynchronous callers, and no thread of Swift's`() async throws {
        let pool = try ThreadPool(threads: 1, queueLimit: QueueLimit(tasks: 1))
        let gate = try Event()
        let held = try pool.applyAsync { _ = try gate.wait() }
        var waiting: [AsyncResult<Int>] = []
        while let result = try pool.trySubmit(square, waiting.count) { waiting.append(result) }
        // More than Swift has threads: were they blocked, nobody would be left to open the gate.
        try await withThrowingTaskGroup(of: Int.self) { group in
            for n in 0..<200 {
                group.addTask {
                    switch n % 4 {
                    case 0: try await pool.apply(square, n)
                    case 1: try await pool.map([n], square)[0]
                    case 2: try await pool.mapResults([n], square)[0].get()
                    default: try await pool.starmap([(n, n)]) { $0 * $1 }[0]
                    }
                }
            }
            group.addTask {
                gate.set()
                return 0
            }
            var sum = 0
            for try await square in group { sum += square }
            #expect(sum == (0..<200).map(square).reduce(0, +))
        }
        try await held.value
        for (n, result) in waiting.enumerated() { #expect(try await result.value == n * n) }
        pool.close()
        try await pool.join()
    }

    @Test func `threads are replaced after so many tasks`() throws {
        let pool = try ThreadPool(threads: 1, maxTasksPerChild: 2)
        let threads = try (0..<10).map { _ in try pool.apply { UInt(pthread_self()) } }
        for pair in stride(from: 0, to: 10, by: 2) { #expect(threads[pair] == threads[pair + 1]) }
        #expect(pool.statistics.restarts == 0)
        for number in [0, -1] {
            #expect(throws: PoolError.self) { _ = try ThreadPool(threads: number) }
            #expect(throws: PoolError.self) { _ = try ThreadPool(maxTasksPerChild: number) }
            #expect(throws: PoolError.self) { _ = try ThreadPool(queueLimit: QueueLimit(tasks: number)) }
            #expect(throws: PoolError.self) { _ = try pool.apply(options: TaskOptions(retries: -1), square, 1) }
        }
        pool.close()
        try pool.join()
    }
}
