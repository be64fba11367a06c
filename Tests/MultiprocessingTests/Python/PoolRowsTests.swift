// SPDX-License-Identifier: Apache-2.0
//
// What users of Python's pools suffer from, and what happens here instead, where the pool's own suites do not show it already. "Coming from Python" lists every row.

import Glibc
import MultiprocessingChannels
import MultiprocessingPrimitives
import Synchronization
import Testing

@testable import Multiprocessing

private func double(_ n: Int) -> Int { 2 * n }

/// An error that cannot be read where it arrives.
private struct Unreadable: Error, Codable {
    struct Refused: Error {}

    init() {}
    init(from decoder: any Decoder) throws { throw Refused() }
}

/// An error that cannot even be written.
private struct Unwritable: Error, Codable {
    struct Refused: Error {}

    func encode(to encoder: any Encoder) throws { throw Refused() }
}

/// The sum of what three workers' workers return.
private func outer(_ a: Int) throws -> Int {
    try withPool(processes: 1) { pool in
        let sums: [Int] = try pool.map(1..<4) { b in try inner(a, b) }
        return sums.reduce(0, +)
    }
}

private func inner(_ a: Int, _ b: Int) throws -> Int {
    try withPool(processes: 1) { pool in
        let products: [Int] = try pool.map(1..<4) { $0 * a * b }
        return products.reduce(0, +)
    }
}

/// Bytes that this process has read and written by system calls so far.
private func transferred() -> Int {
    Proc.lines("/proc/self/io").filter { $0.hasPrefix("rchar") || $0.hasPrefix("wchar") }
        .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
}

/// The opposite of each way in which Python's pools fail.
@Suite(.leavesNothing) struct PoolRowsTests {
    // MARK: - Workers that die

    @Test(.timeLimit(.minutes(30)))
    func `a map whose worker dies ends with an error that names the worker and its end`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            for signal in [SIGKILL, SIGSEGV, SIGTERM] {
                let result = try pool.mapAsync(0..<100, chunkSize: 10) { n -> Int in
                    if n == 42 { kill(getpid(), signal) }
                    return n
                }
                let lost = try checkThrows(WorkerLost.self) { _ = try result.get(timeout: .seconds(60)) }
                try check(lost.status == .signaled(Signal(rawValue: signal)), "\(lost)")
                try check(lost.processIdentifier > 0 && "\(lost)".contains("\(lost.processIdentifier)"), "\(lost)")
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `whichever idle workers are killed, the next map is done`() async throws {
        try await isolated {
            let pool = try Pool(processes: 3)
            for round in 0..<12 {
                try checkEqual(try pool.mapAsync(0..<30, chunkSize: 1, double).get(timeout: .seconds(60)).count, 30)
                for (index, pid) in pool.pids.enumerated() where round & 1 << index != 0 { kill(pid, SIGKILL) }
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `one dead worker leaves the others, the pool and every other call as they are`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let calls = try (0..<60).map { n in
                try pool.applyAsync(
                    { (n: Int) -> Int in
                        if n % 20 == 7 { _exit(3) }
                        return n
                    },
                    n
                )
            }
            for (n, call) in calls.enumerated() {
                if n % 20 == 7 {
                    // The guilty task is known: its own result says so.
                    let lost = try checkThrows(WorkerLost.self) { _ = try call.get(timeout: .seconds(60)) }
                    try checkEqual(lost.status, .exited(3))
                } else {
                    try checkEqual(try call.get(timeout: .seconds(60)), n)
                }
            }
            try checkEqual(pool.statistics.restarts, 3)
            try checkEqual(try pool.map(0..<10, double), (0..<10).map(double))
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a task that needs more memory than its process may have is lost alone`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let others = try (0..<40).map { try pool.applyAsync(double, $0) }
            let greedy = try pool.applyAsync { () -> Int in
                var limit = rlimit()
                getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
                limit.rlim_cur = 1 << 30
                setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
                var rooms: [UnsafeMutableRawPointer] = []
                while true {
                    let room = UnsafeMutableRawPointer.allocate(byteCount: 64 << 20, alignment: 16)
                    room.storeBytes(of: 1, as: UInt8.self)
                    rooms.append(room)
                }
            }
            _ = try checkThrows(WorkerLost.self) { _ = try greedy.get(timeout: .seconds(60)) }
            for (n, other) in others.enumerated() { try checkEqual(try other.get(timeout: .seconds(60)), 2 * n) }
            pool.close()
            try pool.join()
        }
    }

    // MARK: - Errors

    @Test(.timeLimit(.minutes(30)))
    func `errors that cannot be written or read are told in words, and cost nobody else a result`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let calls = try (0..<60).map { n in
                try pool.applyAsync(
                    { (n: Int) -> Int in
                        if n % 3 == 1 { throw Unreadable() }
                        if n % 3 == 2 { throw Unwritable() }
                        return n
                    },
                    n
                )
            }
            for (n, call) in calls.enumerated() {
                if n % 3 == 0 {
                    try checkEqual(try call.get(timeout: .seconds(60)), n)
                } else {
                    let error = try checkThrows(RemoteError.self) { _ = try call.get(timeout: .seconds(60)) }
                    try check(error.typeName.hasSuffix(n % 3 == 1 ? "Unreadable" : "Unwritable"), "\(error)")
                }
            }
            try checkEqual(pool.statistics.restarts, 0)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a function that cannot be carried is refused in the caller, before anything is begun`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            final class Local: Sendable { let number = 3 }
            let local = Local()
            let error = try checkThrows(FunctionNotPortable.self) { _ = try pool.applyAsync { local.number } }
            try check("\(error)".contains("Local"), "\(error)")
            _ = try checkThrows(FunctionNotPortable.self) { _ = try pool.map(0..<3) { $0 + local.number } }
            // Closures over values, over other functions, and local functions are carried.
            let base = 5
            let add: @Sendable (Int) -> Int = { $0 + base }
            @Sendable func twice(_ n: Int) -> Int { add(add(n)) }
            try checkEqual(try pool.map(0..<3) { add($0) }, [5, 6, 7])
            try checkEqual(try pool.map(0..<3, twice), [10, 11, 12])
            try checkEqual(pool.statistics.restarts, 0)
            pool.close()
            try pool.join()
        }
    }

    // MARK: - Ends

    @Test(.timeLimit(.minutes(30)))
    func `a running task can be cancelled, and a task behind it is not begun`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let begun = try Event()
            let runs = try SharedAtomic(0)
            let running = try pool.applyAsync(
                { (begun: Event) -> Int in
                    begun.set()
                    while true { pause() }
                },
                begun
            )
            let behind = try pool.applyAsync({ (runs: SharedAtomic<Int>) in _ = runs.add(1) }, runs)
            try check(try begun.wait(timeout: .seconds(60)))
            behind.cancel()
            running.cancel()
            _ = try checkThrows(CancellationError.self) { _ = try running.get(timeout: .zero) }
            _ = try checkThrows(CancellationError.self) { try behind.get(timeout: .zero) }
            try checkEqual(try pool.applyAsync(double, 4).get(timeout: .seconds(60)), 8)
            try checkEqual(runs.load(), 0)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a call that is over says whether it succeeded, one that is not says that it is not`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let gate = try Event()
            let waiting = try pool.applyAsync({ (gate: Event) in _ = try gate.wait() }, gate)
            try check(!waiting.isReady)
            try checkEqual(try checkThrows(PoolError.self) { _ = try waiting.isSuccessful }.code, .notReady)
            try check(try !waiting.wait(timeout: .zero))
            _ = try checkThrows(TimeoutError.self) { try waiting.get(timeout: .milliseconds(1)) }
            gate.set()
            try waiting.get(timeout: .seconds(60))
            try check(try waiting.isReady && waiting.isSuccessful)
            let failed = try pool.applyAsync { () -> Int in throw Unreadable() }
            try check(try failed.wait(timeout: .seconds(60)))
            try check(try !failed.isSuccessful)
            let none = try pool.mapAsync([Int](), double)
            try check(none.isReady)
            pool.close()
            try pool.join()
        }
    }

    // MARK: - What it costs

    @Test(.timeLimit(.minutes(30)))
    func `large arguments and results lie in memory of their own, and only words about them go through the lanes`()
        async throws
    {
        try await isolated {
            let pool = try Pool(processes: 1)
            let numbers = Array(repeating: 7, count: 4 << 20)  // 32 MiB
            /// How many bytes of records either side has published for the other so far, and how many bytes of segments the pool knows.
            func published() throws -> (tasks: UInt64, results: UInt64, sent: Int, received: Int) {
                try pool.core.withLock {
                    guard let worker = (pool.core.session as? LocalSession)?.workers.first else {
                        throw CheckFailed(description: "no worker")
                    }
                    let memory = worker.memory.region.base
                    // The tails of the two lanes, as WorkerMemory.swift has them.
                    return (
                        memory.load(fromByteOffset: 128, as: UInt64.self),
                        memory.load(fromByteOffset: 256, as: UInt64.self), worker.segments.bytes,
                        worker.resultSegments.bytes
                    )
                }
            }
            let add: @Sendable ([Int], Int) -> [Int] = { numbers, n in numbers.map { $0 + n } }
            // With the function, which crosses once.
            try checkEqual(try pool.apply(add, [1], 1), [2])
            let before = try published()
            try check(before.tasks > 0 && before.results > 0 && before.sent == 0 && before.received == 0)
            for n in 1...4 {
                let result = try pool.apply(add, numbers, n)
                try check(result.count == numbers.count && result.allSatisfy { $0 == 7 + n })
            }
            let after = try published()
            // Four tasks and four results.
            try check(after.tasks - before.tasks <= 4 * 512, "\(after), before \(before)")
            try check(after.results - before.results <= 4 * 512, "\(after), before \(before)")
            let size = numbers.count * MemoryLayout<Int>.stride
            try check(after.sent >= size && after.received >= size, "\(after)")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `large arguments and results are not carried through pipes`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let numbers = Array(repeating: 7, count: 8 << 20)  // 64 MiB
            let before = try (here: transferred(), there: pool.apply(transferred))
            let result = try pool.apply({ (numbers: [Int]) in numbers.map { $0 + 1 } }, numbers)
            try check(result.count == numbers.count && result.allSatisfy { $0 == 8 })
            let after = try (here: transferred(), there: pool.apply(transferred))
            try check(after.here - before.here < 1 << 20, "\(after.here - before.here) bytes")
            try check(after.there - before.there < 1 << 20, "\(after.there - before.there) bytes")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `workers come from a process that is there, and run no program anew`() async throws {
        try await isolated {
            let pool = try Pool(processes: 3)
            _ = try pool.map(0..<30, chunkSize: 1, double)
            guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no fork server") }
            try check(Set(pool.pids).isSubset(of: Proc.children(of: server)), "\(pool.pids)")
            for pid in pool.pids { kill(pid, SIGKILL) }
            _ = try pool.map(0..<30, chunkSize: 1, double)
            try checkEqual(ForkServer.processIdentifier, server)
            // The server may have heard of an end that the pool has not.
            try checkEventually("\(pool.pids)") { Set(pool.pids).isSubset(of: Proc.children(of: server)) }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a thousand calls are awaited without a thread for each`() async throws {
        try await apart(timeout: .seconds(300)) {
            let pool = try Pool(processes: 2)
            let most = try await withThrowingTaskGroup(of: Int.self) { group in
                for n in 0..<1000 {
                    group.addTask {
                        let result = try await pool.apply(double, n)
                        try checkEqual(result, 2 * n)
                        return Proc.entries("/proc/self/task").count
                    }
                }
                return try await group.reduce(0, max)
            }
            // Those of Swift, the pool's own, the reactor's, and some of Dispatch's.
            try check(most < 20 + 2 * cpuCount, "\(most) threads")
            pool.close()
            try await pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a worker may have workers of its own, three deep`() async throws {
        try await isolated {
            let sums = try withPool(processes: 2) { pool in try pool.map(1..<4, outer) }
            try checkEqual(sums, [36, 72, 108])
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `arguments and results are let go of once they are read`() throws {
        final class Object: Sendable {}
        let pool = try ThreadPool(threads: 1)
        weak var argument: Object?
        weak var result: Object?
        do {
            let object = Object()
            argument = object
            let returned = try pool.apply({ (_: Object) in Object() }, object)
            result = returned
        }
        // The thread may hold what it had last until it has the next.
        _ = try pool.apply { 1 }
        _ = try pool.apply { 2 }
        #expect(argument == nil)
        #expect(result == nil)
        pool.close()
        try pool.join()
    }
}
