// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private struct NoDatabase: Error, Codable {}

private func double(_ n: Int) -> Int { 2 * n }

/// Workers that are slow to start, or fail at it all together, and what becomes of calls meanwhile.
@Suite(.leavesNothing) struct PoolStartTests {
    @Test(.timeLimit(.minutes(30)))
    func `an initializer that fails once in all workers at the same time is called again`() async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            let workers = 6
            let pool = try Pool(processes: workers) {
                if tries.add(1).newValue <= workers { throw NoDatabase() }
            }
            try checkEqual(try pool.applyAsync(double, 4).get(timeout: .seconds(60)), 8)
            try checkEventually("\(pool.statistics)") { tries.load() == 2 * workers }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `workers that are all killed in their initializer are replaced`() async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            let workers = 6
            let pool = try Pool(processes: workers) {
                if tries.add(1).newValue <= workers { while true { pause() } }
            }
            let result = try pool.applyAsync(double, 4)
            try checkEventually("\(pool.statistics)") { tries.load() == workers }
            for pid in pool.pids { kill(pid, SIGKILL) }
            try checkEqual(try result.get(timeout: .seconds(60)), 8)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `an initializer that is killed each time is given up as well, only later`() async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            let pool = try Pool(processes: 1) {
                tries.add(1)
                kill(getpid(), SIGKILL)
            }
            let error = try checkThrows(PoolError.self) { _ = try pool.apply(double, 4) }
            try checkEqual(error.code, .workersFail)
            try check(tries.load() > 4 && tries.load() <= 16, "\(tries.load()) tries")
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a call does not wait for an initializer when another worker has nothing to do`() async throws {
        try await isolated {
            let (starts, goesOn) = (try SharedAtomic(0), try Event())
            let pool = try Pool(processes: 2) {
                if starts.add(1).newValue > 2 { _ = try goesOn.wait(timeout: .seconds(600)) }
            }
            try checkEventually("\(pool.statistics)") { starts.load() == 2 }
            _ = try checkThrows(WorkerLost.self) { _ = try pool.apply { _exit(1) } }
            try checkEventually("\(pool.statistics)") { starts.load() == 3 }
            // One worker is at its initializer, the other at this.
            let gate = try Event()
            let first = try pool.applyAsync { _ = try gate.wait(timeout: .seconds(600)) }
            let second = try pool.applyAsync(double, 4)
            gate.set()
            try first.get(timeout: .seconds(60))
            try checkEqual(try second.get(timeout: .seconds(60)), 8)
            try checkEqual(starts.load(), 3)
            goesOn.set()
            pool.close()
            try pool.join()
        }
    }
}
