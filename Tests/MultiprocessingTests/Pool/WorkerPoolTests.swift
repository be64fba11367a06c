// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

private func square(_ n: Int) -> Int { n * n }
private func squareLater(_ n: Int) async -> Int { n * n }
private func times(_ n: Int, _ factor: Int) -> Int { n * factor }
private func timesLater(_ n: Int, _ factor: Int) async -> Int { n * factor }
private func note(_ n: Int) {}
private func noteLater(_ n: Int) async {}

/// Numbers that take their time.
private struct Numbers: AsyncSequence, Sendable {
    struct AsyncIterator: AsyncIteratorProtocol {
        var next = 0

        mutating func next() async -> Int? {
            await Task.yield()
            defer { next += 1 }
            return next < 10 ? next : nil
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}

private let squares = (0..<10).map(square)
private let doubles = (0..<10).map { $0 * 2 }

private func all<R>(_ results: PoolResults<R>) throws -> [R] {
    var all: [R] = []
    while let result = try results.next(timeout: .seconds(60)) { all.append(result) }
    return all
}

/// Every call, from a function that does not know which pool it has. Labels are left out as for a pool that is known.
private func callAll(_ pool: some WorkerPool) throws {
    let options = TaskOptions(retries: 1)
    let progress = PoolProgress { _ in }
    try checkEqual(try pool.map(0..<10, chunkSize: 4, square), squares)
    try checkEqual(try pool.map(0..<10, options: options, progress: progress, square), squares)
    try checkEqual(try pool.map(0..<10, with: 2, chunkSize: 3, times), doubles)
    let sum = try SharedAtomic(0)
    try pool.forEach(0..<10) { n in sum.add(n) }
    try pool.forEach(0..<10, with: sum, chunkSize: 3) { n, sum in sum.add(n) }
    try pool.forEach(0..<10, note)
    try checkEqual(sum.load(), 90)
    try checkEqual(try pool.mapResults(0..<10, chunkSize: 2, square).map { try $0.get() }, squares)
    try checkEqual(try pool.mapResults(0..<10, with: 2, times).map { try $0.get() }, doubles)
    try checkEqual(try pool.mapAsync(0..<10, square).get(), squares)
    try checkEqual(try pool.mapAsync(0..<10, chunkSize: 2, squareLater).get(), squares)
    try checkEqual(try pool.mapAsync(0..<10, with: 2, times).get(), doubles)
    try checkEqual(try pool.mapAsync(0..<10, with: 2, options: options, timesLater).get(), doubles)
    try checkEqual(try pool.starmap([(1, 2), (3, 4)], chunkSize: 1, times), [2, 12])
    try checkEqual(try pool.starmapAsync([(1, 2), (3, 4)], times).get(), [2, 12])
    try checkEqual(try pool.starmapAsync([(1, 2), (3, 4)], options: options, timesLater).get(), [2, 12])

    try checkEqual(try all(pool.imap(0..<10, bufferSize: 4, square)), squares)
    try checkEqual(try all(pool.imap(0..<10, squareLater)), squares)
    try checkEqual(try all(pool.imap(0..<10, with: 2, chunkSize: 2, times)), doubles)
    try checkEqual(try all(pool.imap(0..<10, with: 2, timesLater)), doubles)
    try checkEqual(try all(pool.imap(Numbers(), square)), squares)
    try checkEqual(try all(pool.imap(Numbers(), squareLater)), squares)
    try checkEqual(try all(pool.imap(Numbers(), with: 2, times)), doubles)
    try checkEqual(try all(pool.imapUnordered(0..<10, chunkSize: 2, square)).sorted(), squares)
    try checkEqual(try all(pool.imapUnordered(0..<10, with: 2, times)).sorted(), doubles)
    try checkEqual(try all(pool.imapUnordered(Numbers(), bufferSize: 3, square)).sorted(), squares)
    try checkEqual(try all(pool.imapUnordered(Numbers(), with: 2, timesLater)).sorted(), doubles)

    try checkEqual(try pool.apply(square, 3), 9)
    try checkEqual(try pool.apply(options: options, times, 3, 4), 12)
    try pool.apply(note, 3)
    try pool.apply {}
    try checkEqual(try pool.applyAsync(square, 3).get(), 9)
    try checkEqual(try pool.applyAsync(options: options, squareLater, 3).get(), 9)
    try pool.applyAsync(note, 3).get()
    try pool.applyAsync(noteLater, 3).get()
    let (told, numbered) = (try Event(), try Event())
    try pool.applyAsync(onSuccess: { told.set() }, note, 3).get()
    try checkEqual(try pool.applyAsync(onSuccess: { (n: Int) in if n == 9 { numbered.set() } }, square, 3).get(), 9)
    try check(try told.wait(timeout: .seconds(30)) && numbered.wait(timeout: .seconds(30)))
    try checkEqual(try pool.trySubmit(square, 3)?.get(), 9)
    try checkEqual(try pool.trySubmit(options: options, squareLater, 3)?.get(), 9)
    try check(try pool.trySubmit(note, 3)?.get() != nil)
    try check(try pool.trySubmit(noteLater, 3)?.get() != nil)
}

/// The calls that wait without blocking.
private func callAllAsync(_ pool: some WorkerPool) async throws {
    let options = TaskOptions(retries: 1)
    try checkEqual(try await pool.map(0..<10, chunkSize: 4, square), squares)
    try checkEqual(try await pool.map(0..<10, options: options, squareLater), squares)
    try checkEqual(try await pool.map(0..<10, with: 2, times), doubles)
    try checkEqual(try await pool.map(0..<10, with: 2, chunkSize: 2, timesLater), doubles)
    try checkEqual(try await pool.mapResults(0..<10, square).map { try $0.get() }, squares)
    try checkEqual(try await pool.mapResults(0..<10, chunkSize: 2, squareLater).map { try $0.get() }, squares)
    try checkEqual(try await pool.mapResults(0..<10, with: 2, times).map { try $0.get() }, doubles)
    try checkEqual(try await pool.mapResults(0..<10, with: 2, timesLater).map { try $0.get() }, doubles)
    try checkEqual(try await pool.starmap([(1, 2), (3, 4)], times), [2, 12])
    try checkEqual(try await pool.starmap([(1, 2), (3, 4)], options: options, timesLater), [2, 12])
    var results: [Int] = []
    for try await result in pool.imap(Numbers(), square) { results.append(result) }
    try checkEqual(results, squares)
    try checkEqual(try await pool.apply(square, 3), 9)
    try checkEqual(try await pool.apply(options: options, squareLater, 3), 9)
    try await pool.apply(note, 3)
    try await pool.apply(noteLater, 3)
    let sum = try SharedAtomic(0)
    try await pool.forEach(0..<10) { n in sum.add(n) }
    try await pool.forEach(0..<10) { n in
        await Task.yield()
        sum.add(n)
    }
    try await pool.forEach(0..<10, with: sum, chunkSize: 3) { n, sum in sum.add(n) }
    try await pool.forEach(0..<10, with: sum) { n, sum in
        await Task.yield()
        sum.add(n)
    }
    try await pool.forEach(0..<10, noteLater)
    try checkEqual(sum.load(), 180)
    try await pool.apply { await Task.yield() }
    try pool.resize(workers: 3)
}

/// What pools of processes and of threads have in common.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct WorkerPoolTests {
    @Test func `every call can be made on a pool of either kind, with the defaults of the pools`() async throws {
        try await isolated(hasTasks: true) {
            try withPool(processes: 2) { try callAll($0) }
            try callAll(try Pool.inline)
            let threads = try ThreadPool(threads: 2)
            try callAll(threads)
            threads.close()
            try threads.join()
        }
    }

    @Test func `withPool takes a pool with any settings, and ends its workers`() async throws {
        try await isolated {
            let before = try SharedAtomic(0)
            let pids = try withPool(Pool(processes: 2, maxTasksPerChild: 100, initializer: { before.add(1) })) { pool in
                try checkEqual(try pool.map(0..<10, chunkSize: 1, square), squares)
                return pool.pids
            }
            try check(before.load() >= 1)
            try checkEqual(Proc.waitForEnd(of: pids, within: .seconds(30)), [])
            _ = try checkThrows(PoolError.self) { try withPool(Pool(processes: 0)) { _ in } }
        }
        try await apart(timeout: .seconds(300)) {
            let found = try await withPool(Pool(processes: 1, queueLimit: QueueLimit(tasks: 5))) { pool in
                try await pool.map(0..<10, squareLater)
            }
            try checkEqual(found, squares)
        }
    }

    @Test func `so can those that suspend`() async throws {
        try await apart(timeout: .seconds(300)) {
            let processes = try Pool(processes: 2)
            try await callAllAsync(processes)
            let threads = try ThreadPool(threads: 2)
            try await callAllAsync(threads)
            processes.terminate()
            threads.terminate()
            try await processes.join()
            try await threads.join()
        }
    }

    @Test func `a pool that is known finds the same calls`() async throws {
        try await isolated {
            let threads = try ThreadPool(threads: 2)
            try threads.apply {}
            try threads.applyAsync { print("", terminator: "") }.get()
            try checkEqual(try threads.mapAsync(0..<10, with: 2, times).get(), doubles)
            try checkEqual(try threads.mapResults(0..<10, with: 2, times).map { try $0.get() }, doubles)
            try checkEqual(try threads.starmapAsync([(1, 2), (3, 4)], times).get(), [2, 12])
            try check(try threads.trySubmit {}?.get() != nil)
            threads.close()
            try threads.join()
            try withPool(processes: 1) { pool in
                try check(try pool.trySubmit { print("", terminator: "") }?.get() != nil)
                try checkEqual(try pool.trySubmit { 3 }?.get(), 3)
            }
        }
    }
}
