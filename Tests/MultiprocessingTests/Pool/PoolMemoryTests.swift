// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Takes 8 MiB after another, and keeps them.
private func eat(_ n: Int) -> Int {
    var eaten = 0
    while true {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 8 << 20)
        memory.initialize(repeating: UInt8(truncatingIfNeeded: n), count: 8 << 20)
        eaten += 1
        usleep(10_000)
    }
}

/// Keeps 24 MiB, and goes on for longer than anybody waits until the next look at the memory of workers.
private func leak(_ n: Int) -> Int32 {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 24 << 20)
    memory.initialize(repeating: 1, count: 24 << 20)
    keep(memory)
    usleep(150_000)
    return getpid()
}

/// Workers whose memory is limited.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolMemoryTests {
    @Test func `a worker that eats memory without end is killed, and its task alone fails, saying why`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, maxMemoryPerChild: 64 << 20)
            let lost = try pool.applyAsync(eat, 1)
            let others = try (0..<20).map { n in try pool.applyAsync({ (n: Int) in n + 1 }, n) }
            for (n, other) in others.enumerated() { try checkEqual(try other.get(timeout: .seconds(60)), n + 1) }
            let error = try checkThrows(WorkerLost.self) { _ = try lost.get(timeout: .seconds(60)) }
            try checkEqual(error.status, .signaled(.kill))
            try check(error.message?.contains("maxMemoryPerChild is 64 MiB") == true, "\(error)")
            let outcomes = try pool.mapResults(0..<6) { n in n == 3 ? eat(n) : n }
            for (n, outcome) in outcomes.enumerated() where n != 3 { try checkEqual(try outcome.get(), n) }
            _ = try checkThrows(WorkerLost.self) { _ = try outcomes[3].get() }
            try checkEqual(pool.statistics.restarts, 2)
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `a task is not killed for what others have left behind`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1, maxMemoryPerChild: 64 << 20)
            let pids = try (0..<9).map { try pool.apply(leak, $0) }
            try check(Set(pids).count > 1, "no worker was replaced")
            try checkEqual(pool.statistics.restarts, 0)
            pool.terminate()
            try pool.join()
        }
    }
}
