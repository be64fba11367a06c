// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Throws unless `body` throws an error of type `E`, and returns that.
func checkThrows<E: Error>(_: E.Type, line: Int = #line, _ body: () throws -> Void) throws -> E {
    do {
        try body()
    } catch let error as E {
        return error
    } catch {
        throw CheckFailed(description: "line \(line): \(error) is no \(E.self)")
    }
    throw CheckFailed(description: "line \(line): nothing was thrown")
}

/// Throws unless `condition` holds within a minute: what other processes and threads do comes at once, but not in step.
func checkEventually(_ message: String, line: Int = #line, _ condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while try !condition() {
        try check(ContinuousClock.now < deadline, message, line: line)
        usleep(1000)
    }
}

extension Pool {
    /// The process ids of the workers.
    var pids: [Int32] { statistics.workers.compactMap(\.processIdentifier) }
}

/// Kills random workers of a pool at random moments, on a thread of its own.
final class Killer: Sendable {
    private let killed = Mutex<Set<Int32>>([])
    private let count = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    private let done: Mutex<OneResult<Bool>?> = Mutex(nil)

    /// Begins to kill.
    ///
    /// - Parameter pause: The longest time between two kills, in microseconds.
    init(_ pool: Pool, seed: UInt64, pause: UInt32, limit: Int = .max) throws {
        let result = try onThreadAsync { [self] in
            var random = Seeded(seed: seed)
            while !isStopping.load(ordering: .relaxed), count.load(ordering: .relaxed) < limit {
                // Every other time when something has been done since: on a busy machine no worker would live to do its first task.
                if Bool.random(using: &random) { waitForProgress(pool) }
                // Not to wait for anything: the moments are to be random.
                usleep(UInt32.random(in: 0...pause, using: &random))
                guard let pid = pool.pids.randomElement(using: &random) else { continue }
                let isNew = killed.withLock { $0.insert(pid).inserted }
                guard isNew, kill(pid, SIGKILL) == 0 else { continue }
                count.add(1, ordering: .relaxed)
            }
            return true
        }
        done.withLock { $0 = result }
    }

    /// Waits until a worker has done another task; not when there is none to do.
    private func waitForProgress(_ pool: Pool) {
        let before = Self.tasksDone(pool.statistics)
        while !isStopping.load(ordering: .relaxed) {
            let now = pool.statistics
            if now.running + now.waiting == 0 { return }
            if Self.tasksDone(now).contains(where: { $0.value > before[$0.key] ?? 0 }) { return }
            usleep(200)
        }
    }

    private static func tasksDone(_ statistics: PoolStatistics) -> [Int32: Int] {
        let pairs = statistics.workers.compactMap { worker in worker.processIdentifier.map { ($0, worker.tasks) } }
        return Dictionary(pairs) { $0 + $1 }
    }

    /// How many were killed so far.
    var kills: Int { count.load(ordering: .relaxed) }

    /// Whom.
    var victims: Set<Int32> { killed.withLock { $0 } }

    /// Ends the killing.
    func stop() throws {
        isStopping.store(true, ordering: .relaxed)
        _ = try done.withLock { $0 }?.get()
    }
}
