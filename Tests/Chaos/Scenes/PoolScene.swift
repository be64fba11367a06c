// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

private func square(_ n: Int) -> Int { n * n }

/// Works a little, so that there is something to kill.
private func labour(_ n: Int) -> Int {
    var sum = n
    for round in 0..<2000 { sum = (sum &* 31 &+ round) & 0xffff }
    return sum
}

/// Has hardly more memory than it uses, and asks for much: it does not get it, and what becomes of it then is its pool's to tell.
private func starve(_ n: Int) throws -> Int {
    let pages = Remnants.contents("/proc/self/statm").prefix { $0 != UInt8(ascii: " ") }
    let size = (Int(String(decoding: pages, as: UTF8.self)) ?? 0) * 4096
    var limit = rlimit(rlim_cur: rlim_t(size + n * 100_000), rlim_max: rlim_t(size + n * 100_000))
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
    var bytes: [[UInt8]] = []
    for _ in 0..<64 { bytes.append([UInt8](repeating: 1, count: 1 << 20)) }
    return bytes.count
}

/// A pool in a worker of a pool.
private func nested(_ n: Int) throws -> Int {
    try withPool(processes: 1) { pool in try pool.apply(options: TaskOptions(retries: 1000), square, n) }
}

/// Has a pool do all that it can, over and over.
final class PoolScene: Sendable {
    private let pool: Pool
    private let tasks = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)
    private let starved = Atomic<Int>(0)

    init() throws {
        pool = try Pool(processes: 3, maxTasksPerChild: 5000)
    }

    /// The workers' pids.
    var processes: [pid_t] { pool.statistics.workers.compactMap(\.processIdentifier) }

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        let again = TaskOptions(retries: 1000)
        while !stage.hasEnded {
            let count = Int.random(in: 1...400, using: &random)
            let chunk = [nil, 1, 7].randomElement(using: &random) ?? nil
            switch Int.random(in: 0..<7, using: &random) {
            case 0:
                let results = try pool.map(0..<count, chunkSize: chunk, options: again, labour)
                try check(results == (0..<count).map(labour), "a map of \(count) is wrong")
            case 1:
                let results = try pool.mapResults(0..<count, chunkSize: chunk, labour)
                for (n, result) in results.enumerated() {
                    switch result {
                    case .success(let value): try check(value == labour(n), "item \(n) of \(count) is wrong")
                    case .failure(is WorkerLost): lost.add(1, ordering: .relaxed)
                    case .failure(let error): throw Violation("item \(n) of \(count) failed: \(error)")
                    }
                }
            case 2:
                let results = pool.imap(0..., chunkSize: chunk, options: again, labour)
                for n in 0..<count {
                    let value = try results.next(timeout: .seconds(60))
                    try check(value == labour(n), "result \(n) of an endless map is \(String(describing: value))")
                }
            case 3:
                let results = try (0..<count).map { try pool.applyAsync(options: again, square, $0) }
                for (n, result) in results.enumerated() {
                    try check(try result.get(timeout: .seconds(60)) == n * n, "call \(n) is wrong")
                }
            case 6: try starveOne(count)
            case 4:
                try check(try pool.apply(options: again, nested, count) == count * count, "a pool in a pool is wrong")
            default:
                let payload = Message.payload(1, count, size: Int.random(in: 0...2_000_000, using: &random))
                let back = try pool.apply(options: again, { $0 }, payload)
                try check(back == payload, "bytes come back changed")
            }
            tasks.add(count, ordering: .relaxed)
        }
    }

    /// Starves a worker that has no other task.
    private func starveOne(_ count: Int) throws {
        let pool = try Pool(processes: 1, isolation: .perTask)
        defer { pool.terminate() }
        do {
            let result = try pool.apply(options: TaskOptions(timeout: .seconds(60)), starve, count)
            try check(result == 64, "64 is \(result)")
        } catch let error as TimeoutError {
            throw Violation("a worker without memory hangs: \(error)")
        } catch let error as Violation {
            throw error
        } catch {
            // It was killed by hunger, or could say that it was hungry.
            starved.add(1, ordering: .relaxed)
        }
        pool.terminate()
        try pool.join()
    }

    func end() throws {
        pool.terminate()
        try pool.join()
    }

    var figures: Figures {
        Figures([
            "tasks": tasks.load(ordering: .relaxed), "tasks lost": lost.load(ordering: .relaxed),
            "workers without memory": starved.load(ordering: .relaxed),
        ])
    }
}
