// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

private func double(_ n: Int) -> Int { 2 * n }

/// Waits for ever in C code.
private func hang(_ n: Int) -> Int {
    while true { pause() }
}

private func hangLater(_ n: Int) async -> Int { hang(n) }

/// Whether this process was asked to end.
private let isAskedToEnd = Atomic<Bool>(false)

/// Time limits of tasks, and tasks that are cancelled.
@Suite(.leavesNothing) struct PoolTimeoutTests {
    @Test(.timeLimit(.minutes(30)))
    func `a map that is cancelled while it waits for room ends what it has begun`() async throws {
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 1))
            let begun = try Event()
            // So much that it is submitted in several parts.
            let items = Array(repeating: [UInt8](repeating: 1, count: 300_000), count: 40)
            let task = Task {
                try await pool.map(items, chunkSize: 1) { item -> Int in
                    begun.set()
                    return hang(item.count)
                }
            }
            _ = try await begun.wait()
            task.cancel()
            do {
                _ = try await task.value
                throw CheckFailed(description: "nothing was thrown")
            } catch is CancellationError {}
            // Somebody who waits for its worker gets another.
            try checkEqual(try await pool.apply(double, 3), 6)
            pool.terminate()
            try await pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a task that takes too long fails, and only its worker is replaced`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let pids = try SharedArray<Int32>(count: 1)
            try checkEqual(try pool.map(0..<10, double), (0..<10).map(double))
            for ending in 0..<3 {
                let before = Set(pool.pids)
                let clock = ContinuousClock.now
                let slow = try pool.applyAsync(
                    options: TaskOptions(timeout: .milliseconds(100)),
                    { (ending: Int, pids: SharedArray<Int32>) -> Int in
                        pids.withUnsafeMutableBufferPointer { $0[0] = getpid() }
                        if ending == 1 { signal(SIGTERM, SIG_IGN) }
                        if ending == 2 { raise(SIGSTOP) }
                        return hang(0)
                    },
                    ending,
                    pids
                )
                let others = try (0..<50).map { try pool.applyAsync(double, $0) }
                try checkEqual(try others.map { try $0.get(timeout: .seconds(30)) }, (0..<50).map(double))
                let error = try checkThrows(TimeoutError.self) { _ = try slow.get(timeout: .seconds(30)) }
                try checkEqual(error.timeout, .milliseconds(100))
                try check(ContinuousClock.now - clock >= .milliseconds(100))
                try checkEventually("\(pool.statistics)") {
                    pool.pids.count == 2 && !pool.pids.contains(pids[0])
                }
                try checkEqual(Set(pool.pids).intersection(before).count, 1)
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a worker whose task takes too long is asked to end before it is killed`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let (asked, cleaned, pid) = (try SharedAtomic(0), try SharedAtomic(0), try SharedAtomic(Int32(0)))
            let options = TaskOptions(timeout: .milliseconds(50))
            let stubborn: @Sendable () -> Int = {
                pid.store(getpid())
                isAskedToEnd.store(false, ordering: .relaxed)
                signal(SIGTERM) { _ in isAskedToEnd.store(true, ordering: .relaxed) }
                while true {
                    usleep(1000)
                    // It hears that, and goes on all the same.
                    if isAskedToEnd.exchange(false, ordering: .relaxed) { asked.add(1) }
                }
            }
            // It has half a second to hear that. A machine with much else to do may not let it have the processor once in that time, but not again and again.
            for _ in 0..<4 where asked.load() == 0 {
                let error = try checkThrows(TimeoutError.self) { _ = try pool.apply(options: options, stubborn) }
                try checkEqual(error.timeout, .milliseconds(50))
                try checkEqual(Proc.waitForEnd(of: [pid.load()], within: .seconds(60)), [])
            }
            try checkEqual(asked.load(), 1)
            // One that does as it is asked ends in its own way.
            let orderly: @Sendable () -> Int = {
                pid.store(getpid())
                isAskedToEnd.store(false, ordering: .relaxed)
                signal(SIGTERM) { _ in isAskedToEnd.store(true, ordering: .relaxed) }
                while !isAskedToEnd.load(ordering: .relaxed) { usleep(1000) }
                cleaned.add(1)
                exit(3)
            }
            for _ in 0..<4 where cleaned.load() == 0 {
                _ = try checkThrows(TimeoutError.self) { _ = try pool.apply(options: options, orderly) }
                try checkEqual(Proc.waitForEnd(of: [pid.load()], within: .seconds(60)), [])
            }
            try checkEqual(cleaned.load(), 1)
            try checkEqual(try pool.apply(double, 4), 8)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `an asynchronous task that hears of its cancellation keeps its worker`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let begun = try Event()
            let heard = try SharedAtomic(0)
            try checkEqual(try pool.applyAsync { () async -> Int in 1 }.get(timeout: .seconds(30)), 1)
            let listens: @Sendable (Event, SharedAtomic<Int>) async throws -> Int = { begun, heard in
                begun.set()
                do {
                    try await Task.sleep(for: .seconds(600))
                } catch {
                    heard.add(1)
                    throw error
                }
                return 0
            }
            // A task has a moment to begin in, and another to hear that. A machine with much else to do may not let it have the processor in that time, but not again and again.
            var isKept = false
            for _ in 0..<5 where !isKept {
                let before = pool.pids
                heard.store(0)
                _ = try checkThrows(TimeoutError.self) {
                    let options = TaskOptions(timeout: .milliseconds(100))
                    _ = try pool.applyAsync(options: options, listens, begun, heard).get(timeout: .seconds(60))
                }
                begun.clear()
                let cancelled = try pool.applyAsync(listens, begun, heard)
                try check(try begun.wait(timeout: .seconds(60)))
                cancelled.cancel()
                _ = try checkThrows(CancellationError.self) { _ = try cancelled.get(timeout: .zero) }
                // After what was cancelled, if that worker is there still.
                try checkEqual(try pool.apply(double, 4), 8)
                isKept = heard.load() == 2 && pool.pids == before
            }
            try check(isKept, "\(heard.load()) heard of it in the last try")
            // One that does not listen goes with its worker.
            let before = pool.pids
            _ = try checkThrows(TimeoutError.self) {
                let options = TaskOptions(timeout: .milliseconds(100))
                _ = try pool.applyAsync(options: options, hangLater, 1).get(
                    timeout: .seconds(30)
                )
            }
            try checkEqual(try pool.apply(double, 4), 8)
            try check(pool.pids != before)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `the time of an element counts from its begin, wherever in a chunk it is`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            // 45 elements of 100 ms in one chunk take longer than the limit together; one of them does not even on a busy machine.
            let options = TaskOptions(timeout: .seconds(4))
            let results = try pool.map(0..<45, chunkSize: 45, options: options) { n in
                usleep(100_000)
                return n
            }
            try checkEqual(results, Array(0..<45))
            // What waits behind others in the queue has all its time, too.
            let queued = try (0..<90).map { n in
                try pool.applyAsync(
                    options: options,
                    { (n: Int) in
                        _ = usleep(100_000)
                        return n
                    },
                    n
                )
            }
            try checkEqual(try queued.map { try $0.get(timeout: .seconds(60)) }, Array(0..<90))
            _ = try checkThrows(TimeoutError.self) {
                _ = try pool.map(0..<20, chunkSize: 20, options: TaskOptions(timeout: .milliseconds(100))) { n in
                    n == 13 ? hang(n) : n
                }
            }
            try checkEqual(pool.statistics.restarts, 1)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `calls are tried again as often as their options say`() async throws {
        try await isolated {
            struct TooEarly: Error, Codable {}
            let pool = try Pool(processes: 2)
            let tries = try SharedAtomic(0)
            let dies: @Sendable (SharedAtomic<Int>) -> Int = { tries in
                let number = tries.add(1).newValue
                if number < 4 { _exit(1) }
                return number
            }
            try checkEqual(try pool.apply(options: TaskOptions(retries: 3), dies, tries), 4)
            tries.store(0)
            _ = try checkThrows(WorkerLost.self) {
                _ = try pool.apply(options: TaskOptions(retries: 2), dies, tries)
            }
            try checkEqual(tries.load(), 3)
            let hangs: @Sendable (SharedAtomic<Int>) -> Int = { tries in
                tries.add(1).newValue < 3 ? hang(0) : 7
            }
            tries.store(0)
            try checkEqual(
                try pool.apply(options: TaskOptions(timeout: .seconds(1), retries: 2), hangs, tries),
                7
            )
            let throwing: @Sendable (SharedAtomic<Int>) throws -> Int = { tries in
                if tries.add(1).newValue < 3 { throw TooEarly() }
                return 8
            }
            tries.store(0)
            _ = try checkThrows(TooEarly.self) { _ = try pool.apply(options: TaskOptions(retries: 5), throwing, tries) }
            try checkEqual(tries.load(), 1)
            tries.store(0)
            try checkEqual(try pool.apply(options: TaskOptions(retries: 5, retriesErrors: true), throwing, tries), 8)
            _ = try checkThrows(PoolError.self) { _ = try pool.apply(options: TaskOptions(retries: -1), double, 1) }
            _ = try checkThrows(PoolError.self) { _ = try pool.apply(options: TaskOptions(timeout: .zero), double, 1) }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `calls of a higher priority are begun first`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let gate = try Event()
            let order = try Queue<Int>()
            let first = try pool.applyAsync({ (gate: Event) in _ = try gate.wait() }, gate)
            let note: @Sendable (Int, Queue<Int>) throws -> Void = { n, order in try order.put(n) }
            let results = try [1, 5, 3, 5, 9].enumerated().map { index, priority in
                try pool.applyAsync(options: TaskOptions(priority: priority), note, priority * 10 + index, order)
            }
            gate.set()
            _ = try first.get(timeout: .seconds(30))
            for result in results { try result.get(timeout: .seconds(30)) }
            try checkEqual(try (0..<5).map { _ in try order.get(timeout: .seconds(60)) }, [94, 51, 53, 32, 10])
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a cancelled call is not begun, or ended with its worker, and takes nobody along`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let runs = try SharedAtomic(0)
            let begun = try Event()
            for _ in 0..<20 {
                begun.clear()
                runs.store(0)
                let running = try pool.applyAsync(
                    { (begun: Event) -> Int in
                        begun.set()
                        return hang(0)
                    },
                    begun
                )
                let queued = try pool.applyAsync({ (runs: SharedAtomic<Int>) in _ = runs.add(1) }, runs)
                let other = try pool.applyAsync(double, 4)
                try check(try begun.wait(timeout: .seconds(30)))
                queued.cancel()
                running.cancel()
                _ = try checkThrows(CancellationError.self) { try queued.get(timeout: .zero) }
                _ = try checkThrows(CancellationError.self) { _ = try running.get(timeout: .zero) }
                try checkEqual(try other.get(timeout: .seconds(30)), 8)
                try checkEqual(runs.load(), 0)
            }
            // Short ones at the moment that they end: whoever is behind them in the same worker must not be hit.
            var others: [AsyncResult<Int>] = []
            for n in 0..<500 {
                let short = try pool.applyAsync(double, n)
                others.append(try pool.applyAsync(double, n))
                if n % 2 == 0 { _ = try short.wait(timeout: .microseconds(n)) }
                short.cancel()
            }
            for (n, other) in others.enumerated() {
                try check(try other.wait(timeout: .seconds(30)), "\(n) hangs: \(pool.statistics)")
                try checkEqual(try other.get(timeout: .zero), double(n))
            }
            try checkEventually("\(pool.statistics)") { pool.statistics.running == 0 && pool.statistics.waiting == 0 }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `cancelling a Swift task ends what it waits for`() async throws {
        let pids = try SharedArray<Int32>(count: 1)
        let begun = try Event()
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 1)
            for isMap in [false, true] {
                begun.clear()
                let task = Task {
                    if isMap {
                        _ = try await pool.map(0..<4) { n in
                            pids.withUnsafeMutableBufferPointer { $0[0] = getpid() }
                            begun.set()
                            return hang(n)
                        }
                    } else {
                        _ = try await pool.apply {
                            pids.withUnsafeMutableBufferPointer { $0[0] = getpid() }
                            begun.set()
                            return hang(1)
                        }
                    }
                }
                _ = try await begun.wait()
                task.cancel()
                do {
                    try await task.value
                    throw CheckFailed(description: "not cancelled")
                } catch is CancellationError {}
                try check(Proc.waitForEnd(of: [pids[0]], within: .seconds(60)).isEmpty)
                try checkEqual(try await pool.apply(double, 4), 8)
            }
            pool.terminate()
            try await pool.join()
        }
    }
}
