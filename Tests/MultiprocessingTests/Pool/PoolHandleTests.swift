// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Opens files until no more can be opened, calls `body`, and closes them.
private func withoutDescriptors<R>(_ body: () throws -> R) throws -> R {
    var opened: [Int32] = []
    while case let number = open("/dev/null", O_RDONLY | O_CLOEXEC), number >= 0 { opened.append(number) }
    defer { for number in opened { close(number) } }
    return try body()
}

/// Sets how many files this process may have open.
private func limitDescriptors(to count: UInt) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = count
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// The numbers with another first and last one. Looking at each would take longer than carrying them.
private func changed(_ numbers: [Int], by addend: Int) -> [Int] {
    var numbers = numbers
    numbers[0] += addend
    numbers[numbers.count - 1] += addend
    return numbers
}

/// Whether all numbers are equal, byte by byte.
private func isSame(_ some: [Int], _ others: [Int]) -> Bool {
    some.withUnsafeBytes { some in
        others.withUnsafeBytes { others in
            guard let first = some.baseAddress, let second = others.baseAddress else {
                return some.isEmpty && others.isEmpty
            }
            return some.count == others.count && memcmp(first, second, some.count) == 0
        }
    }
}

/// Handles that travel with tasks, and processes that run out of descriptors.
@Suite(.leavesNothing) struct PoolHandleTests {
    @Test(.timeLimit(.minutes(30)))
    func `handles can be arguments, captures, elements and results of tasks`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let lock = try Lock()
            let queue = try Queue<Int>()
            let sum = try SharedArray<Int>(count: 1)
            let add: @Sendable (Int, Lock, SharedArray<Int>) throws -> Void = { n, lock, sum in
                try lock.withLock { sum.withUnsafeMutableBufferPointer { $0[0] += n } }
            }
            let results = try (1...200).map { try pool.applyAsync(add, $0, lock, sum) }
            for result in results { try result.get(timeout: .seconds(30)) }
            try checkEqual(sum[0], 20_100)
            _ = try pool.map(0..<200) { n in
                try queue.put(n)
                return n
            }
            try checkEqual(try (0..<200).map { _ in try queue.get(timeout: .seconds(60)) }.sorted(), Array(0..<200))
            // Each element with a handle of its own, among others that have none.
            let events = try (0..<50).map { _ in try Event() }
            let items: [Event?] = events.flatMap { [$0, nil, nil] }
            try checkEqual(
                try pool.map(items, chunkSize: 4) { event in
                    event?.set()
                    return event != nil
                }.count { $0 },
                50
            )
            try check(events.allSatisfy(\.isSet))
            let arrays = try pool.map(0..<20, chunkSize: 3) { n in try SharedArray(repeating: n, count: 10) }
            for (n, array) in arrays.enumerated() { try checkEqual(array[9], n) }
            let (parent, child) = try Connection.pipe()
            let sent = try pool.applyAsync({ (connection: Connection) in try connection.send([1, 2, 3]) }, child)
            let numbers: [Int] = try parent.receive()
            try checkEqual(numbers, [1, 2, 3])
            try sent.get(timeout: .seconds(30))
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `large values go on when tasks with them are cancelled, lost and tried again`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let killer = try Killer(pool, seed: 9, pause: 20_000, limit: 100)
            let options = TaskOptions(retries: 100)
            for round in 0..<30 {
                let numbers = Array(repeating: round, count: 20_000 + 3000 * round)
                let captured = Array(repeating: round, count: 5000)
                let expected = changed(numbers, by: round)
                let cancelled = try pool.applyAsync({ (a: [Int]) in changed(a, by: 1) }, numbers)
                let results = try (0..<10).map { n in
                    try pool.applyAsync(options: options, { (a: [Int]) in changed(a, by: captured[n]) }, numbers)
                }
                cancelled.cancel()
                for result in results {
                    try check(isSame(try result.get(timeout: .seconds(30)), expected), "round \(round)")
                }
            }
            try killer.stop()
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a worker without descriptors fails what needs them, and nothing else`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let event = try Event()
            let use: @Sendable (Event) -> Void = { $0.set() }
            let count: @Sendable ([Int]) -> Int = { $0.count }
            let large = Array(0..<100_000)
            let pid = try pool.apply { () -> Int32 in
                limitDescriptors(to: 64)
                return getpid()
            }
            for _ in 0..<3 {
                try pool.apply {
                    while open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0 {}
                }
                try check((try? pool.applyAsync(use, event).get(timeout: .seconds(30))) == nil, "there was room")
                _ = try? pool.applyAsync(count, large).get(timeout: .seconds(30))
                // A segment may be there from before.
                _ = try? pool.applyAsync { Array(0..<200_000) }.get(timeout: .seconds(30))
                try checkEqual(try pool.apply { getpid() }, pid)
                try pool.apply { for number in 30..<64 { close(Int32(number)) } }
                try pool.applyAsync(use, event).get(timeout: .seconds(30))
                try checkEqual(try pool.applyAsync(count, large).get(timeout: .seconds(30)), 100_000)
                try checkEqual(try pool.apply { Array(0..<100_000) }.count, 100_000)
                try checkEqual(try pool.apply { getpid() }, pid)
            }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `the inline pool says which descriptor there was no room for, and goes on`() async throws {
        try await isolated {
            limitDescriptors(to: 64)
            let pool = try Pool.inline
            let event = try Event()
            let set: @Sendable (Event) -> Void = { $0.set() }
            let lend: @Sendable () -> Event = { event }
            try pool.apply(set, event)
            _ = try pool.apply(lend)
            for call in [{ try pool.apply(set, event) }, { _ = try pool.apply(lend) }] {
                let error = try withoutDescriptors { try checkThrows(SystemError.self, call) }
                try checkEqual(error.code, EMFILE)
                try call()
            }
            let ask: @Sendable (Event) -> Bool = { $0.isSet }
            let several = try withoutDescriptors { try pool.mapResults([event, event], ask) }
            for result in several {
                let error = try checkThrows(SystemError.self) { _ = try result.get() }
                try checkEqual(error.code, EMFILE)
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a function that a worker had no descriptors for works when there are some again`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let event = try Event()
            let table = Array(0..<10_000)
            let pid = try pool.apply { () -> Int32 in
                limitDescriptors(to: 64)
                return getpid()
            }
            // One captures a handle, the other more than fits into a lane. Both are sent once, before their first task.
            let handle: @Sendable (Int) -> Int = { n in
                event.set()
                return n
            }
            let large: @Sendable (Int) -> Int = { table[$0] }
            try pool.apply {
                while open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0 {}
            }
            for function in [handle, large] {
                for _ in 0..<3 {
                    let results = try (0..<3).map { try pool.applyAsync(function, $0) }
                    for result in results { _ = try checkThrows(SystemError.self) { _ = try result.get() } }
                }
            }
            try pool.apply { for number in 30..<64 { close(Int32(number)) } }
            for function in [handle, large] { try checkEqual(try pool.apply(function, 3), 3) }
            try checkEqual(try pool.apply { getpid() }, pid)
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a pool whose process has no descriptors left fails what needs them, and nothing else`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            try checkEqual(try pool.apply { 1 }, 1)
            limitDescriptors(to: 128)
            for _ in 0..<3 {
                try withoutDescriptors {
                    try check((try? pool.applyAsync { try Event() }.get(timeout: .seconds(30))) == nil)
                    // A segment may be there from before.
                    _ = try? pool.applyAsync { Array(0..<100_000) }.get(timeout: .seconds(30))
                    try checkEqual(try pool.applyAsync { 2 }.get(timeout: .seconds(30)), 2)
                }
                try checkEqual(try pool.apply { Array(0..<100_000) }.count, 100_000)
                try checkEqual(try pool.apply { try Event() }.isSet, false)
            }
            try checkEqual(pool.statistics.restarts, 0)
            // Nor can a worker be started. The pool tries again, and gives up at last.
            try withoutDescriptors {
                for pid in pool.pids { kill(pid, SIGKILL) }
                let error = try checkThrows(PoolError.self) {
                    while true { _ = try pool.applyAsync { 3 }.get(timeout: .seconds(30)) }
                }
                try checkEqual(error.code, .workersFail)
            }
            pool.terminate()
            try pool.join()
        }
    }
}
