// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func cube(_ n: Int) -> Int { n &* n &* n }

/// Takes a moment that depends on `n`.
private func work(_ n: Int) -> Int {
    var sum = n
    for i in 0..<(n % 7 * 3000) { sum = sum &* 31 &+ i }
    return sum
}

/// Workers that are killed at random moments.
@Suite(.serialized, .leavesNothing) struct PoolKillTests {
    @Test(.timeLimit(.minutes(30)))
    func `a thousand workers that are killed at work in one map, and others beside, do not change its results`()
        async throws
    {
        try await isolated {
            let (count, doomed) = (2000, 1000)
            let (killed, runs) = (try SharedAtomic(0), try SharedAtomic(0))
            // Who is at which item.
            let pids = try SharedArray<Int32>(count: count)
            let pool = try Pool(processes: 3)
            let killer = try onThreadAsync {
                var random = Seeded(seed: 1)
                var victims: Set<Int32> = []
                while killed.load() < doomed {
                    usleep(UInt32.random(in: 0...2000, using: &random))
                    // Written by other processes.
                    let working = Set(pids.withUnsafeMutableBufferPointer { $0.filter { $0 > 0 } }).subtracting(victims)
                    // Now and then whoever it may be: idle, or not yet there.
                    let choice = Int.random(in: 0..<8, using: &random) == 0 ? pool.pids : working.sorted()
                    guard let pid = choice.randomElement(using: &random), victims.insert(pid).inserted else { continue }
                    kill(pid, SIGKILL)
                    if working.contains(pid) { killed.add(1) }
                }
                return victims.count
            }
            // As fast as workers are killed, and no faster: the last item is done when the last of them is dead.
            let results = try pool.map(0..<count, options: TaskOptions(retries: 10_000)) { n in
                pids.withUnsafeMutableBufferPointer { $0[n] = getpid() }
                runs.add(1)
                let result = work(n)
                while killed.load() < (n + 1) * doomed / count { usleep(100) }
                pids.withUnsafeMutableBufferPointer { $0[n] = 0 }
                return result
            }
            try checkEqual(results, (0..<count).map(work))
            let victims = try killer.get()
            try check(victims > doomed, "\(victims)")
            // What was begun and lost was begun again; some will have been killed between two items.
            try check(runs.load() > count + doomed / 2, "\(runs.load())")
            try checkEventually("\(victims) were killed: \(pool.statistics)") {
                let statistics = pool.statistics
                return statistics.restarts == victims && statistics.workers.count == 3
                    && statistics.workers.reduce(0) { $0 + $1.restarts } == victims
            }
            try check("\(pool.statistics)".contains("0 running, 0 waiting, \(victims) workers lost"))
            try checkEqual(try pool.map(0..<100, work), (0..<100).map(work))
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [1, 2])
    func `kills in maps and calls of every kind do not change the results when tasks are tried again`(
        _ seed: UInt64
    )
        async throws
    {
        try await isolated {
            let pool = try Pool(processes: 3)
            let killer = try Killer(pool, seed: seed, pause: 4000)
            let items = Array(0..<3000)
            let expected = items.map(work)
            var options = TaskOptions(retries: 1000)
            var rounds = 0
            while killer.kills < 100 {
                rounds += 1
                options.timeout = rounds % 3 == 0 ? .seconds(60) : nil
                try checkEqual(
                    try pool.map(items, chunkSize: rounds % 2 == 0 ? 10 : nil, options: options, work),
                    expected
                )
                let one = try pool.applyAsync(options: options, cube, rounds)
                try checkEqual(try one.get(timeout: .seconds(60)), cube(rounds))
            }
            try killer.stop()
            try checkEqual(try pool.map(items, work), expected)
            try checkEventually("\(pool.statistics)") { pool.statistics.workers.count == 3 }
            try checkEqual(pool.statistics.running, 0)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `without another try exactly the tasks of the killed workers fail`() async throws {
        try await isolated {
            let count = 4000
            let runs = try SharedArray<Int32>(count: count)
            let pids = try SharedArray<Int32>(count: count)
            let pool = try Pool(processes: 3)
            let killer = try Killer(pool, seed: 3, pause: 8000)
            let results = try (0..<count).map { n in
                try pool.applyAsync(
                    { (n: Int, runs: SharedArray<Int32>, pids: SharedArray<Int32>) in
                        runs.withUnsafeMutableBufferPointer { $0[n] += 1 }
                        pids.withUnsafeMutableBufferPointer { $0[n] = getpid() }
                        return work(n)
                    },
                    n,
                    runs,
                    pids
                )
            }
            var lost = 0
            for (n, result) in results.enumerated() {
                do {
                    // On a busy machine the first hundreds may be done before anybody is killed.
                    if n == count / 2 { try checkEventually("\(killer.kills) kills") { killer.kills > 10 } }
                    try checkEqual(try result.get(timeout: .seconds(60)), work(n))
                    try checkEqual(runs[n], 1)
                } catch let error as WorkerLost {
                    lost += 1
                    try checkEqual(error.status, .signaled(.kill))
                    try check(killer.victims.contains(error.processIdentifier), "\(error)")
                    try check(pids[n] == 0 || pids[n] == error.processIdentifier, "\(n) ran in \(pids[n]): \(error)")
                    try check(runs[n] <= 1)
                }
            }
            try killer.stop()
            try check(killer.kills > 10)
            try check(lost <= killer.kills, "\(lost) tasks were lost by \(killer.kills) kills")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `of a thousand tasks whose workers are killed each fails, and no other`() async throws {
        try await isolated {
            let (count, doomed) = (3000, 1000)
            let pids = try SharedArray<Int32>(count: count)
            let runs = try SharedArray<Int32>(count: count)
            let pool = try Pool(processes: 3)
            // Every third waits for its end, which nobody else brings about. Some are mapped, many to a worker.
            let task: @Sendable (Int, SharedArray<Int32>, SharedArray<Int32>) -> Int = { n, pids, runs in
                runs.withUnsafeMutableBufferPointer { $0[n] += 1 }
                pids.withUnsafeMutableBufferPointer { $0[n] = getpid() }
                while n % 3 == 0 { pause() }
                return work(n)
            }
            let killer = try onThreadAsync {
                var victims: [Int32] = []
                while victims.count < doomed {
                    for n in stride(from: 0, to: count, by: 3) {
                        // Written by another process.
                        let pid = pids.withUnsafeMutableBufferPointer { $0[n] }
                        guard pid > 0 else { continue }
                        victims.append(pid)
                        pids.withUnsafeMutableBufferPointer { $0[n] = -pid }
                        kill(pid, SIGKILL)
                    }
                    usleep(200)
                }
                return victims
            }
            var outcomes = try pool.mapResults(0..<1500) { n in task(n, pids, runs) }
            let results = try (1500..<count).map { try pool.applyAsync(task, $0, pids, runs) }
            outcomes += results.map { result in Result { try result.get(timeout: .seconds(60)) } }
            let victims = try killer.get()
            // Numbers of processes come again.
            try checkEqual(victims.count, doomed)
            for (n, outcome) in outcomes.enumerated() {
                try checkEqual(runs[n], 1, line: n)
                guard n % 3 == 0 else {
                    try checkEqual(try outcome.get(), work(n))
                    continue
                }
                let error = try checkThrows(WorkerLost.self) { _ = try outcome.get() }
                try checkEqual(error.status, .signaled(.kill))
                try checkEqual(error.processIdentifier, -pids[n])
            }
            try checkEqual(pool.statistics.restarts, doomed)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `workers that are killed as soon as they are there come back ever more slowly, and the pool stays`()
        async throws
    {
        try await isolated {
            // The way of starting that takes longest, so that none can serve before it is seen.
            let pool = try Pool(processes: 1, startMethod: .spawn)
            var victims: Set<Int32> = []
            let end = ContinuousClock.now + .seconds(3)
            while ContinuousClock.now < end {
                for pid in pool.pids where victims.insert(pid).inserted { kill(pid, SIGKILL) }
                usleep(100)
            }
            try check((1...60).contains(victims.count), "\(victims.count) workers were started in three seconds")
            try checkEqual(try pool.applyAsync(cube, 3).get(timeout: .seconds(30)), 27)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `nobody notices the death of idle workers`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            for round in 0..<30 {
                // Also those that have not begun to serve.
                for pid in pool.pids { kill(pid, SIGKILL) }
                try checkEqual(try pool.apply(cube, round), cube(round))
            }
            for round in 0..<30 {
                for pid in pool.pids { kill(pid, SIGKILL) }
                try checkEventually("not replaced: \(pool.statistics)") { pool.statistics.workers.count == 2 }
                try checkEqual(try pool.map(0..<10, cube), (0..<10).map(cube), line: round)
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a closed pool whose workers are killed does what is left all the same`() async throws {
        try await isolated {
            for seed in 0..<10 {
                let pool = try Pool(processes: 1)
                let results = try (0..<50).map { try pool.applyAsync(options: TaskOptions(retries: 9), work, $0) }
                pool.close()
                var random = Seeded(seed: UInt64(seed))
                for _ in 0..<3 {
                    usleep(UInt32.random(in: 0...3000, using: &random))
                    for pid in pool.pids { kill(pid, SIGKILL) }
                }
                try pool.join()
                for (n, result) in results.enumerated() { try checkEqual(try result.get(timeout: .zero), work(n)) }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool goes on when its fork server is killed`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            // The workers end with the server, a moment after it was killed: perhaps only in the map after the next.
            let again = TaskOptions(retries: 5)
            for round in 0..<10 {
                if let server = ForkServer.processIdentifier { kill(server, SIGKILL) }
                try checkEqual(try pool.map(0..<100, options: again, cube), (0..<100).map(cube), line: round)
            }
            pool.close()
            try pool.join()
        }
    }
}
