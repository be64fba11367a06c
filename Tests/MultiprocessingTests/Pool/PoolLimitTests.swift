// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

private func square(_ n: Int) -> Int { n * n }
private func count(_ bytes: [UInt8]) -> Int { bytes.count }

/// Submits squares until the pool's queue is full; returns what will be their results.
private func fill(_ pool: Pool) throws -> [AsyncResult<Int>] {
    var accepted: [AsyncResult<Int>] = []
    while let result = try pool.trySubmit(square, accepted.count) { accepted.append(result) }
    return accepted
}

@Suite(.leavesNothing) struct PoolLimitTests {
    @Test(.timeLimit(.minutes(30)))
    func `trySubmit returns nil when the queue is full, and a result when there is room`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 10))
            let gate = try Event()
            let held = try pool.applyAsync { _ = try gate.wait() }
            var accepted: [AsyncResult<Int>] = []
            while let result = try pool.trySubmit(square, accepted.count) {
                accepted.append(result)
                try check(accepted.count < 10_000, "the limit is not held")
            }
            try check(accepted.count >= 10)
            try checkEqual(try pool.trySubmit(square, 1) == nil, true)
            gate.set()
            try held.get()
            for (n, result) in accepted.enumerated() { try checkEqual(try result.get(), n * n) }
            try checkEqual(try pool.trySubmit(square, 9)?.get(), 81)
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `a lazy map is begun though the queue is full, since it has no items yet`()
        async throws
    {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 3))
            let gate = try Event()
            let held = try pool.applyAsync { _ = try gate.wait() }
            let accepted = try fill(pool)
            let results = pool.imap(0..<100, square)
            gate.set()
            try held.get()
            for n in 0..<100 { try checkEqual(try results.next(), n * n) }
            try checkEqual(try results.next() == nil, true)
            for (n, result) in accepted.enumerated() { try checkEqual(try result.get(), n * n) }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [1, 1000])
    func `a map that does not wait for its results waits while the queue is full`(count: Int) async throws {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 3))
            let gate = try Event()
            let held = try pool.applyAsync { _ = try gate.wait() }
            let accepted = try fill(pool)
            let begun = try Event()
            let submitted = try Event()
            let results = try onThreadAsync { () -> AsyncResult<[Int]> in
                begun.set()
                let results = try pool.mapAsync(0..<count, chunkSize: 1, square)
                submitted.set()
                return results
            }
            try check(try begun.wait(timeout: .seconds(60)))
            // For whatever time that is: with room it would be there at once.
            try check(try !submitted.wait(timeout: .milliseconds(300)), "a map was submitted to a full queue")
            gate.set()
            try checkEqual(try results.get().get(), (0..<count).map(square))
            try held.get()
            for (n, result) in accepted.enumerated() { try checkEqual(try result.get(), n * n) }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `the bytes of arguments count as well`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(bytes: 1 << 20))
            let gate = try Event()
            let held = try pool.applyAsync { _ = try gate.wait() }
            var accepted: [AsyncResult<Int>] = []
            while let result = try pool.trySubmit(count, [UInt8](repeating: 1, count: 100_000)) {
                accepted.append(result)
                try check(accepted.count < 1000, "the limit is not held")
            }
            gate.set()
            try held.get()
            for result in accepted { try checkEqual(try result.get(), 100_000) }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `who submits to a full queue waits, blocking or suspended, and all is done`()
        async throws
    {
        try await isolated {
            let pool = try Pool(processes: 2, queueLimit: QueueLimit(tasks: 4))
            let results = try (0..<500).map { try pool.applyAsync(square, $0) }
            for (n, result) in results.enumerated() { try checkEqual(try result.get(), n * n) }
            try checkEqual(try pool.map(0..<5000, chunkSize: 1, square), (0..<5000).map(square))
            try checkEqual(try pool.mapAsync(0..<5000, chunkSize: 3, square).get(), (0..<5000).map(square))
            pool.terminate()
            try pool.join()
        }
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 2, queueLimit: QueueLimit(tasks: 4))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for n in 0..<200 { group.addTask { try checkEqual(try await pool.apply(square, n), n * n) } }
                group.addTask {
                    try checkEqual(try await pool.map(0..<2000, chunkSize: 1, square), (0..<2000).map(square))
                }
                try await group.waitForAll()
            }
            pool.terminate()
            try await pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `a pool whose queue is full again and again never stands still`() async throws
    {
        // Who finds the queue full after it took in what had come has to hand out as well: all workers may be idle then. The first calls of a pool meet this the most.
        try await isolated {
            for _ in 0..<60 {
                let pool = try Pool(processes: 2, queueLimit: QueueLimit(tasks: 2))
                let results = try (0..<60).map { try pool.applyAsync(square, $0) }
                for (n, result) in results.enumerated() { try checkEqual(try result.get(), n * n) }
                pool.terminate()
                try pool.join()
            }
        }
        try await apart(timeout: .seconds(300)) {
            for _ in 0..<60 {
                let pool = try Pool(processes: 2, queueLimit: QueueLimit(tasks: 2))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for n in 0..<60 { group.addTask { try checkEqual(try await pool.apply(square, n), n * n) } }
                    try await group.waitForAll()
                }
                pool.terminate()
                try await pool.join()
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `who waits for room is told when the pool is terminated`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 1))
            let held = try pool.applyAsync { while true { pause() } }
            let error = try onThreadAsync {
                do {
                    while true { _ = try pool.applyAsync(square, 1) }
                } catch let error as PoolError { return error.code }
            }
            try checkEventually("the queue is not full") { pool.statistics.waiting >= 1 }
            pool.terminate()
            try checkEqual(try error.get(), .notRunning)
            _ = try checkThrows(PoolError.self) { try held.get() }
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30))) func `limits below one are refused`() async throws {
        try await isolated {
            for limit in [QueueLimit(tasks: 0), QueueLimit(bytes: 0)] {
                let error = try checkThrows(PoolError.self) { _ = try Pool(processes: 1, queueLimit: limit) }
                try checkEqual(error.code, .invalidArgument)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `a function can take either pool`() async throws {
        try await isolated {
            func sums(_ pool: some WorkerPool) throws -> [Int] {
                var sums = [try pool.map(0..<10, square).reduce(0, +)]
                sums.append(try pool.mapResults(0..<10, square).map { try $0.get() }.reduce(0, +))
                for results in [pool.imap(0..<10, square), pool.imapUnordered(0..<10, square)] {
                    var sum = 0
                    while let result = try results.next() { sum += result }
                    sums.append(sum)
                }
                return sums
            }
            let threads = try ThreadPool(threads: 2)
            try checkEqual(try sums(threads), [285, 285, 285, 285])
            threads.terminate()
            try threads.join()
            try withPool(processes: 2) { try checkEqual(try sums($0), [285, 285, 285, 285]) }
        }
    }
}
