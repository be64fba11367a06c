// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// What tasks leave behind in their process.
private let traces = Atomic<Int>(0)

/// Leaves a trace, and returns how many there are now, with the process.
private func trace(_ n: Int) -> [Int32] {
    [Int32(traces.add(1, ordering: .relaxed).newValue), getpid()]
}

/// How many are at work at the same time.
private struct Crowd: Codable, Sendable {
    let present: SharedAtomic<Int>
    let most: SharedAtomic<Int>

    init() throws {
        present = try SharedAtomic(0)
        most = try SharedAtomic(0)
    }

    /// Stays for a moment.
    func visit() {
        most.max(present.add(1).newValue)
        usleep(10_000)
        present.subtract(1)
    }
}

/// Pools whose workers are replaced after one task or a few.
@Suite(.leavesNothing) struct PoolIsolationTests {
    @Test(.timeLimit(.minutes(30)))
    func `with isolation per task no task finds what another has left, whichever call it belongs to`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, isolation: .perTask)
            var seen = try (0..<5).map { try pool.apply(trace, $0) }
            seen += try pool.map(0..<20, trace)
            seen += try pool.map(0..<5, options: TaskOptions(timeout: .seconds(60)), trace)
            seen += try pool.mapResults(0..<5, trace).map { try $0.get() }
            seen += try pool.starmap([1, 2, 3], trace)
            let lazy = pool.imap(0..<5, trace)
            while let result = try lazy.next() { seen.append(result) }
            try check(seen.allSatisfy { $0[0] == 1 }, "\(seen)")
            try checkEqual(Set(seen.map { $0[1] }).count, seen.count)
            try check(!seen.contains { $0[1] == getpid() })
            try checkEqual(pool.statistics.restarts, 0)
            // A chunk that was asked for is one task.
            let chunks = try pool.map(0..<20, chunkSize: 5, trace)
            try checkEqual(Set(chunks.map { $0[1] }).count, 4)
            try checkEqual(chunks.map { $0[0] }.max(), 5)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `with isolation per task a crash, a deadline and a cancellation are that task's alone`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, isolation: .perTask)
            let others = try (0..<30).map { try pool.applyAsync(trace, $0) }
            let crash = try pool.applyAsync { () -> Int in fatalError("on purpose") }
            let slow = try pool.applyAsync(options: TaskOptions(timeout: .milliseconds(50))) { while true { pause() } }
            let cancelled = try pool.applyAsync { while true { pause() } }
            let tried = try SharedAtomic(0)
            let retried = try pool.applyAsync(
                options: TaskOptions(retries: 3),
                { (tried: SharedAtomic<Int>) -> Int in
                    if tried.add(1).newValue < 3 { _exit(1) }
                    return traces.add(1, ordering: .relaxed).newValue
                },
                tried
            )
            cancelled.cancel()
            _ = try checkThrows(WorkerLost.self) { _ = try crash.get(timeout: .seconds(60)) }
            _ = try checkThrows(TimeoutError.self) { _ = try slow.get(timeout: .seconds(60)) }
            _ = try checkThrows(CancellationError.self) { _ = try cancelled.get(timeout: .seconds(60)) }
            try checkEqual(try retried.get(timeout: .seconds(60)), 1)
            for other in others { try checkEqual(try other.get(timeout: .seconds(60))[0], 1) }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [1, 2, 3])
    func `workers that are replaced do not make more tasks run at once than the pool has workers`(
        _ processes: Int
    ) async throws {
        try await isolated {
            let pools = [
                try Pool(processes: processes, isolation: .perTask),
                try Pool(processes: processes, maxTasksPerChild: 1),
                try Pool(processes: processes, maxTasksPerChild: 3),
            ]
            for pool in pools {
                let crowd = try Crowd()
                _ = try pool.map(0..<12, with: crowd, chunkSize: 1) { _, crowd in
                    crowd.visit()
                    return 0
                }
                let calls = try (0..<12).map { _ in try pool.applyAsync({ (crowd: Crowd) in crowd.visit() }, crowd) }
                for call in calls { try call.get(timeout: .seconds(60)) }
                try check(crowd.most.load() <= processes, "\(crowd.most.load()) at once")
                pool.close()
                try pool.join()
            }
        }
    }
}
