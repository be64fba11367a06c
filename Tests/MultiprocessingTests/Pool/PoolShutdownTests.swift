// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing
import Synchronization
import Testing

private func double(_ n: Int) -> Int { 2 * n }

private func hang(_ n: Int) -> Int {
    while true { pause() }
}

/// How long the current thread has been at work.
private func processorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

/// Not private: an optimised program keeps no metadata of such a type.
struct BodyFailed: Error, Codable, Equatable { let number: Int }

/// How pools end.
@Suite(.leavesNothing) struct PoolShutdownTests {
    @Test(.timeLimit(.minutes(30)))
    func `terminate returns at once, however much is queued`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let results = try (0..<10_000).map { try pool.applyAsync(hang, $0) }
            let clock = ContinuousClock.now
            let before = processorTime()
            pool.terminate()
            // A busy machine may let this thread wait for its turn, but it is at work only for a moment, and waits for nobody.
            try check(processorTime() - before < .milliseconds(250), "\(processorTime() - before)")
            try check(ContinuousClock.now - clock < .seconds(9))
            for result in results {
                let error = try checkThrows(PoolError.self) { _ = try result.get(timeout: .zero) }
                try checkEqual(error.code, .terminated)
            }
            try pool.join()
            try check(ContinuousClock.now - clock < .seconds(60))
            pool.terminate()
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `when the body of withPool throws, its error comes through, and nobody is left`() async throws {
        try await isolated {
            var pids: [Int32] = []
            let error = try checkThrows(BodyFailed.self) {
                try withPool(processes: 2) { pool in
                    _ = try pool.map(0..<10, double)
                    _ = try pool.applyAsync(hang, 1)
                    pids = pool.pids
                    throw BodyFailed(number: 7)
                }
            }
            try checkEqual(error, BodyFailed(number: 7))
            try checkEqual(pids.count, 2)
            try check(!pids.contains(where: Proc.isRunning))
        }
        try await apart(timeout: .seconds(300)) {
            let pids = Mutex<[Int32]>([])
            do {
                try await withPool(processes: 2) { pool in
                    _ = try await pool.map(0..<10, double)
                    _ = try pool.applyAsync(hang, 1)
                    pids.withLock { $0 = pool.pids }
                    throw BodyFailed(number: 8)
                }
                throw CheckFailed(description: "nothing was thrown")
            } catch let error as BodyFailed { try checkEqual(error, BodyFailed(number: 8)) }
            let left = pids.withLock { $0 }
            try checkEqual(left.count, 2)
            try check(!left.contains(where: Proc.isRunning))
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `join before close is an error, and calls after it are refused`() async throws {
        try await isolated {
            for ends in [{ (pool: Pool) in pool.close() }, { (pool: Pool) in pool.terminate() }] {
                let pool = try Pool(processes: 1)
                try checkEqual(try checkThrows(PoolError.self) { try pool.join() }.code, .stillRunning)
                try checkEqual(try pool.apply(double, 1), 2)
                ends(pool)
                try checkEqual(try checkThrows(PoolError.self) { _ = try pool.apply(double, 1) }.code, .notRunning)
                try checkEqual(try checkThrows(PoolError.self) { _ = try pool.map([1], double) }.code, .notRunning)
                try checkEqual(try checkThrows(PoolError.self) { _ = try pool.applyAsync(double, 1) }.code, .notRunning)
                try pool.join()
                try pool.join()
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a dropped pool ends, but not before the results that are waited for`() async throws {
        try await isolated {
            for _ in 0..<10 {
                _ = try Pool(processes: 1)
                _ = try Pool(processes: 2).apply(double, 1)
                // Its result keeps it.
                let result = try Pool(processes: 1).applyAsync(double, 4)
                try checkEqual(try result.get(timeout: .seconds(30)), 8)
                // Nobody waits for this one.
                _ = try Pool(processes: 1).applyAsync(hang, 4)
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool can be ended by its callbacks, which cannot wait for it`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let refused = OneResult<Bool>()
            let result = try pool.applyAsync(
                onSuccess: { (_: Int) in
                    pool.terminate()
                    refused.set(Result { try checkThrows(PoolError.self) { try pool.join() }.code == .stillRunning })
                },
                double,
                1
            )
            _ = try? result.get(timeout: .seconds(30))
            try check(try refused.get())
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `every state of a pool can be ended at any moment`() async throws {
        try await isolated {
            var random = Seeded(seed: 5)
            for round in 0..<60 {
                let pool = try Pool(
                    processes: Int.random(in: 1...3, using: &random),
                    maxTasksPerChild: round % 3 == 0 ? 2 : nil
                )
                let results = try (0..<Int.random(in: 0..<300, using: &random)).map { try pool.applyAsync(double, $0) }
                usleep(UInt32.random(in: 0...3000, using: &random))
                if round % 4 == 1 { for pid in pool.pids.prefix(1) { kill(pid, SIGKILL) } }
                if round % 4 == 2 { for pid in pool.pids.prefix(1) { kill(pid, SIGSTOP) } }
                if round % 4 != 2, round % 2 == 0 {
                    pool.close()
                    try pool.join()
                    for (n, result) in results.enumerated() {
                        try checkEqual(try result.get(timeout: .zero), double(n))
                    }
                } else {
                    pool.terminate()
                    try pool.join()
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `many threads and tasks can use a pool at once`() async throws {
        try await isolated {
            let pool = try Pool(processes: 3)
            let threads = try (0..<8).map { thread in
                try onThreadAsync {
                    for n in 0..<200 {
                        switch n % 4 {
                        case 0: try checkEqual(try pool.apply(double, n), 2 * n)
                        case 1: try checkEqual(try pool.map(0..<20, double), (0..<20).map(double))
                        case 2: try checkEqual(try pool.applyAsync(double, n).get(timeout: .seconds(30)), 2 * n)
                        default: try pool.applyAsync(double, n).cancel()
                        }
                    }
                }
            }
            for thread in threads { try thread.get() }
            pool.close()
            try pool.join()
        }
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 2)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for n in 0..<500 {
                    group.addTask {
                        let result = try await n % 2 == 0 ? pool.apply(double, n) : pool.map([n], double)[0]
                        try checkEqual(result, 2 * n)
                    }
                }
                try await group.waitForAll()
            }
            pool.close()
            try await pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `pools can be used inside workers, and end with them`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let sums = try pool.map(0..<4) { n in
                try withPool(processes: 2) { inner in try inner.map(0..<10) { $0 * n }.reduce(0, +) }
            }
            try checkEqual(sums, [0, 45, 90, 135])
            let inner = try SharedArray<Int32>(count: 2)
            let lost = try pool.applyAsync(
                { (pids: SharedArray<Int32>) -> Int in
                    let inner = try Pool(processes: 2)
                    _ = try inner.map(0..<100, double)
                    for (n, pid) in inner.pids.enumerated() { pids.withUnsafeMutableBufferPointer { $0[n] = pid } }
                    kill(getpid(), SIGKILL)
                    return 0
                },
                inner
            )
            _ = try checkThrows(WorkerLost.self) { _ = try lost.get(timeout: .seconds(30)) }
            try check(inner[0] != 0 && inner[1] != 0)
            try checkEqual(Proc.waitForEnd(of: [inner[0], inner[1]], within: .seconds(60)), [])
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool belongs to the process that made it`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let result = try pool.applyAsync(double, 4)
            _ = try result.get(timeout: .seconds(30))
            let child = ChildProcess(startMethod: .fork) {
                let refused: [() throws -> Void] = [
                    { _ = try pool.apply(double, 1) }, { _ = try pool.map([1], double) }, { try pool.join() },
                    { _ = try pool.applyAsync(double, 1) }, { try pool.resize(processes: 3) },
                ]
                for call in refused { try checkEqual(try checkThrows(PoolError.self, call).code, .otherProcess) }
                pool.terminate()
                pool.close()
                result.cancel()
                _ = pool.statistics
                // Its own is its own affair.
                let own = try Pool(processes: 1)
                try checkEqual(try own.apply(double, 2), 4)
                own.terminate()
                try own.join()
            }
            try child.start()
            try child.join()
            try checkEqual(child.exitStatus, .exited(0))
            try child.close()
            try checkEqual(try pool.apply(double, 3), 6)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [StartMethod.forkServer, .spawn, .fork])
    func `workers can be started by each method`(_ method: StartMethod) async throws {
        try await isolated {
            let pool = try Pool(processes: 2, startMethod: method)
            try checkEqual(try pool.map(0..<1000, double), (0..<1000).map(double))
            for pid in pool.pids { kill(pid, SIGKILL) }
            try checkEqual(try pool.map(0..<1000, options: TaskOptions(retries: 5), double), (0..<1000).map(double))
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `64 idle workers use no processor time`() async throws {
        try await isolated {
            let pool = try Pool(processes: 64)
            _ = try pool.map(0..<256, chunkSize: 1, double)
            guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no fork server") }
            /// How often each thread of the workers, of the fork server and of this process but the current one was at work, and for how many nanoseconds.
            func counters() -> [String] {
                // The current one is the first thread.
                let threads = (pool.pids + [server, getpid()]).flatMap { pid in
                    Proc.entries("/proc/\(pid)/task").filter { pid != getpid() || $0 != "\(pid)" }
                        .map { "/proc/\(pid)/task/\($0)" }
                }
                return threads.map { folder in
                    let switches = Proc.lines("\(folder)/status").filter { $0.contains("ctxt_switches") }
                    return "\(folder): \(switches) \(Proc.lines("\(folder)/schedstat"))"
                }
            }
            // They fall asleep at once, but not in step.
            var before = counters()
            try check(before.count > 65)
            try checkEventually("somebody is always at work") {
                usleep(1_000_000)
                let after = counters()
                defer { before = after }
                return before == after
            }
            pool.close()
            try pool.join()
        }
    }
}
