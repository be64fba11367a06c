// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing
import Synchronization
import Testing

private struct NoModel: Error, Codable, Equatable { let number: Int }

/// What the initializer has prepared in a worker.
private let prepared = Atomic<Int>(0)

private func look(_ n: Int) -> Int { prepared.load(ordering: .relaxed) }

/// A value whose decoding traps. Not private: an optimised program keeps no metadata of such a type.
struct Deadly: Codable, Sendable {
    let number: Int

    init() {
        number = 1
    }

    init(from decoder: any Decoder) throws {
        fatalError("not to be decoded")
    }
}

/// Initializers, and the limits at which workers are replaced.
@Suite(.leavesNothing) struct PoolInitializerTests {
    @Test(.timeLimit(.minutes(30)), arguments: [0, 1, 2])
    func `an initializer that fails is an error at the first call, after a few tries`(_ way: Int) async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            let tasks = try SharedAtomic(0)
            let pool = try Pool(processes: 2) {
                tries.add(1)
                switch way {
                case 0: throw NoModel(number: 3)
                case 1: fatalError("no model")
                default: exit(4)
                }
            }
            for _ in 0..<2 {
                let error = try checkThrows(PoolError.self) {
                    try pool.applyAsync({ (tasks: SharedAtomic<Int>) in _ = tasks.add(1) }, tasks).get(
                        timeout: .seconds(30)
                    )
                }
                try checkEqual(error.code, .workersFail)
                try check(error.message.contains(["NoModel", "no model", "4"][way]), "\(error)")
            }
            try check(tries.load() >= 3 && tries.load() <= 8, "\(tries.load()) tries")
            try checkEqual(tasks.load(), 0)
            // One that was being started when the pool gave up has its try still.
            try checkEventually("\(pool.statistics)") { pool.statistics.workers.isEmpty }
            let after = tries.load()
            usleep(200_000)
            try checkEqual(tries.load(), after)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [0, 1, 2])
    func `an initializer that fails is an error too where a worker has one task only`(_ way: Int) async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            for isolatesTasks in [false, true] {
                tries.store(0)
                let initializer: @Sendable () throws -> Void = {
                    tries.add(1)
                    switch way {
                    case 0: throw NoModel(number: 3)
                    case 1: fatalError("no model")
                    default: exit(4)
                    }
                }
                let pool =
                    isolatesTasks
                    ? try Pool(processes: 2, isolation: .perTask, initializer: initializer)
                    : try Pool(processes: 2, maxTasksPerChild: 1, initializer: initializer)
                let error = try checkThrows(PoolError.self) {
                    _ = try pool.applyAsync(look, 0).get(timeout: .seconds(30))
                }
                try checkEqual(error.code, .workersFail)
                try check(tries.load() >= 3 && tries.load() <= 8, "\(tries.load()) tries")
                pool.close()
                try pool.join()
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `what kills each worker that decodes it is given up, also where a worker has one task only`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, isolation: .perTask)
            let deadly = Deadly()
            let lost = try checkThrows(WorkerLost.self) {
                _ = try pool.applyAsync { deadly.number }.get(timeout: .seconds(60))
            }
            try check("\(lost)".contains("not to be decoded"), "\(lost)")
            try checkEqual(try pool.apply(look, 0), 0)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [false, true])
    func `between starts that fail goes by ever more time`(_ traps: Bool) async throws {
        try await isolated {
            let (tries, begins) = (try SharedAtomic(0), try SharedArray<Int64>(count: 16))
            let pool = try Pool(processes: 1) {
                let now = mp_now() / 1_000_000
                let number = tries.add(1).newValue - 1
                begins.withUnsafeMutableBufferPointer { $0[number] = now }
                if traps { fatalError("no model") }
                throw NoModel(number: 4)
            }
            let error = try checkThrows(PoolError.self) { _ = try pool.apply(look, 0) }
            try checkEqual(error.code, .workersFail)
            try checkEqual(tries.load(), 4)
            // Less than that would not be enough; how much more it is, the machine says.
            let pauses = (1..<4).map { begins[$0] - begins[$0 - 1] }
            for (pause, least) in zip(pauses, [40, 160, 640]) { try check(pause >= least - 1, "\(pauses)") }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool whose initializer fails now and then goes on`() async throws {
        try await isolated {
            let tries = try SharedAtomic(0)
            let pool = try Pool(processes: 2) {
                // Every other one: in whatever order they are heard of, four failures do not come in a row.
                if tries.add(1).newValue % 2 != 0 { throw NoModel(number: 1) }
                prepared.store(5, ordering: .relaxed)
            }
            for _ in 0..<5 {
                try checkEqual(try pool.applyAsync(look, 0).get(timeout: .seconds(30)), 5)
                _ = try? pool.apply { _exit(1) }
            }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool whose initializer hangs can be terminated, and its calls say so`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2) { while true { pause() } }
            let result = try pool.applyAsync(look, 0)
            try check(try !result.wait(timeout: .milliseconds(100)))
            let clock = ContinuousClock.now
            pool.terminate()
            let error = try checkThrows(PoolError.self) { _ = try result.get(timeout: .zero) }
            try checkEqual(error.code, .terminated)
            try pool.join()
            try check(ContinuousClock.now - clock < .seconds(9))
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `the initializer runs in every replacement before its first task`() async throws {
        try await isolated {
            let runs = try SharedAtomic(0)
            let pool = try Pool(processes: 2, maxTasksPerChild: 3) {
                usleep(2000)
                runs.add(1)
                prepared.store(7, ordering: .relaxed)
            }
            for _ in 0..<30 { try checkEqual(try pool.apply(look, 0), 7) }
            let found = try (0..<100).map { try pool.applyAsync(look, $0) }
            try checkEqual(try found.map { try $0.get(timeout: .seconds(60)) }, Array(repeating: 7, count: 100))
            for _ in 0..<5 { for pid in pool.pids { kill(pid, SIGKILL) } }
            try checkEqual(try pool.map(0..<50, chunkSize: 1, look), Array(repeating: 7, count: 50))
            try check(runs.load() >= 130 / 3, "\(runs.load())")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `workers are replaced after so many tasks and with so much memory`() async throws {
        try await isolated {
            let counted = try Pool(processes: 1, maxTasksPerChild: 2)
            let pids = try (0..<20).map { _ in try counted.apply { getpid() } }
            try checkEqual(Set(pids).count, 10, line: Set(pids).count)
            try checkEqual(counted.statistics.restarts, 0)
            counted.close()
            try counted.join()

            let measured = try Pool(processes: 1, maxMemoryPerChild: 200 << 20)
            let small = try (0..<5).map { _ in try measured.apply { getpid() } }
            try checkEqual(Set(small).count, 1)
            let large = try measured.apply { () -> Int32 in
                let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 300 << 20)
                memory.initialize(repeating: 1, count: 300 << 20)
                keep(memory)
                return getpid()
            }
            try checkEqual(large, small[0])
            try check(try measured.apply { getpid() } != large)
            measured.close()
            try measured.join()
            for number in [0, -1] {
                _ = try checkThrows(PoolError.self) { _ = try Pool(processes: number) }
                _ = try checkThrows(PoolError.self) { _ = try Pool(processes: 1, maxTasksPerChild: number) }
                _ = try checkThrows(PoolError.self) { _ = try Pool(processes: 1, maxMemoryPerChild: number) }
            }
            // More than there can be descriptors for.
            let error = try checkThrows(PoolError.self) { _ = try Pool(processes: .max) }
            try check(error.code == .invalidArgument && error.message.contains("RLIMIT_NOFILE"), "\(error)")
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool can be made larger and smaller while it works`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let results = try (0..<2000).map { n in try pool.applyAsync({ (n: Int) in n + 1 }, n) }
            for count in [4, 2, 5, 1, 3] {
                try pool.resize(processes: count)
                try checkEventually("\(count): \(pool.statistics)") { pool.statistics.workers.count == count }
            }
            try checkEqual(try results.map { try $0.get(timeout: .seconds(60)) }, (1...2000).map { $0 })
            _ = try checkThrows(PoolError.self) { try pool.resize(processes: 0) }
            _ = try pool.map(0..<100, chunkSize: 1) { $0 }
            let text = pool.statistics.description
            try check(text.contains("Worker-") && text.contains("idle") && text.contains("0 running"), text)
            let worker = pool.statistics.workers
            try check(worker.reduce(0) { $0 + $1.tasks } > 0)
            try check(worker.allSatisfy { $0.resident > 0 || $0.tasks == 0 }, text)
            let tasks = pool.statistics.workers.reduce(0) { $0 + $1.tasks }
            pool.close()
            try pool.join()
            // What the last ones did is still told.
            try checkEqual(pool.statistics.workers.count, 3)
            try checkEqual(pool.statistics.workers.reduce(0) { $0 + $1.tasks }, tasks)
            try check(pool.statistics.workers.allSatisfy { !$0.isBusy }, "\(pool.statistics)")
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `statistics tell of each worker what it did, what it has, and how many were lost in its place`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            try check(pool.statistics.workers.allSatisfy { $0.restarts == 0 })
            for round in 1...4 {
                _ = try checkThrows(WorkerLost.self) { _ = try pool.apply { _exit(1) } }
                try checkEventually("\(pool.statistics)") { pool.statistics.workers.count == 2 }
                try checkEqual(pool.statistics.workers.reduce(0) { $0 + $1.restarts }, round)
                try checkEqual(pool.statistics.restarts, round)
            }
            // One that takes too long is lost as well, one that has done its share is not.
            _ = try checkThrows(TimeoutError.self) {
                _ = try pool.applyAsync(options: TaskOptions(timeout: .milliseconds(20))) { while true { pause() } }
                    .get(timeout: .seconds(60))
            }
            try checkEventually("\(pool.statistics)") { pool.statistics.restarts == 5 && pool.pids.count == 2 }
            try checkEqual(pool.statistics.workers.reduce(0) { $0 + $1.restarts }, 5)
            _ = try pool.map(0..<20, chunkSize: 1) { n in
                usleep(10_000)
                return n
            }
            let workers = pool.statistics.workers
            try checkEqual(workers.reduce(0) { $0 + $1.tasks }, 20)
            try check(workers.reduce(.zero) { $0 + $1.busy } >= .milliseconds(200), "\(pool.statistics)")
            try check(workers.allSatisfy { $0.tasks == 0 || $0.resident > 1 << 20 }, "\(pool.statistics)")
            try check(workers.allSatisfy { $0.processIdentifier != nil && !$0.isBusy && $0.idle >= .zero })
            let lines = pool.statistics.description.split(separator: "\n")
            try checkEqual(lines.count, 4)
            try check(lines[0].contains("restarts") && lines[0].contains("memory"), "\(pool.statistics)")
            try check(lines[3].hasPrefix("0 running, 0 waiting, 5 workers lost"), "\(lines[3])")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `workers that are replaced as planned do not count as restarts`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2, maxTasksPerChild: 2)
            _ = try pool.map(0..<20, chunkSize: 1) { $0 }
            try check(pool.statistics.workers.allSatisfy { $0.restarts == 0 }, "\(pool.statistics)")
            try checkEqual(pool.statistics.restarts, 0)
            pool.close()
            try pool.join()
        }
    }
}
