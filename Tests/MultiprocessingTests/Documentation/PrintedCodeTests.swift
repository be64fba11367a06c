// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func fibonacci(_ n: Int) -> Int { n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) }

private func square(_ n: Int) -> Int { n * n }
private func cube(_ n: Int) -> Int { n * n * n }
private func double(_ n: Int) -> Int { n * 2 }
private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { result, _ in result * base } }
private func hash(_ text: String) -> Int { text.utf8.reduce(0) { 31 &* $0 &+ Int($1) } }

private func countPrimes(below limit: Int) -> Int {
    (2..<limit).count { n in !(2..<n).prefix { $0 * $0 <= n }.contains { n % $0 == 0 } }
}

private func task(_ number: Int) { print("Task \(number) is running") }
private func backgroundTask() throws { _ = try Event().wait() }

private struct Settings: Codable, Sendable { var factor = 1 }

/// Code of the guides that other tests do not have as it is printed, with what it prints itself.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PrintedCodeTests {
    @Test func `coming from Python, processes`() async throws {
        try await isolated {
            do {
                let process = ChildProcess { print("Worker process is running") }
                try process.start()
                try process.join()
                try process.close()
            }
            do {
                let processes = (0..<3).map { ChildProcess(target: task, arguments: $0) }
                for process in processes { try process.start() }
                for process in processes { try process.join() }
                for process in processes { try process.close() }
            }
            do {
                print(cpuCount)
                let process = ChildProcess(target: backgroundTask, daemon: true)
                try process.start()
                try process.kill()
                try process.join()
                try process.close()
            }
            do {
                let counter = try SharedValue(0)
                let processes = (0..<5).map { _ in ChildProcess { try counter.withLock { $0 += 1 } } }
                for process in processes { try process.start() }
                for process in processes { try process.join() }
                print("Final Counter:", counter.value)
                for process in processes { try process.close() }
            }
        }
    }

    @Test func `coming from Python, pools`() async throws {
        try await isolated {
            try withPool(processes: 4) { pool in
                let results = try pool.map([1, 2, 3, 4, 5], square)
                let result = try pool.apply(cube, 3)
                let later = try pool.applyAsync(double, 5)
                print(results, result, try later.get())
            }
            try withPool(processes: 4) { pool in
                let squares = try pool.map([1, 2, 3, 4, 5], square)
                let cube = try pool.apply(power, 3, 3)
                print(squares, cube)
            }
        }
    }

    @Test func `pools`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                do {
                    let result = try pool.applyAsync(power, 2, 10)
                    print(result.isReady)
                    let n = try result.get(timeout: .seconds(10))
                    try checkEqual(n, 1024)
                }
                let settings = Settings(factor: 3)
                // swift-format-ignore
                let lengths = try pool.map(["a", "bc"], with: settings) { word, settings in word.count * settings.factor }
                try checkEqual(lengths, [3, 6])
                let results = pool.imapUnordered(0..<100, square)
                var sum = 0
                while let n = try results.next(timeout: .seconds(10)) { sum += n }
                print(sum)
            }
            do {
                let pool = try Pool(processes: 1, queueLimit: QueueLimit(tasks: 100))
                if let result = try pool.trySubmit(square, 12) {
                    print(try result.get())
                } else {
                    print("busy, try again later")
                }
                let files = ["a", "bb"]
                _ = try pool.map(files, progress: .terminal("hashing"), hash)
                _ = try pool.map(files, progress: PoolProgress { print($0.completed, $0.total ?? 0) }, hash)
                pool.close()
                try pool.join()
            }
        }
    }

    @Test func `kinds of pools`() async throws {
        try await isolated {
            func total(of words: [String], on pool: some WorkerPool) throws -> Int {
                try pool.map(words, chunkSize: 4) { $0.count }.reduce(0, +)
            }
            do {
                let threads = try ThreadPool(threads: 2)
                let n = try total(of: ["a", "bc"], on: threads)
                try checkEqual(n, 3)
                threads.close()
                try threads.join()
            }
            do {
                let pool = try Pool.inline
                let n = try total(of: ["a", "bc"], on: pool)
                try checkEqual(n, 3)
            }
        }
    }

    @Test func `processes or threads`() async throws {
        try await isolated {
            func time(on pool: some WorkerPool) throws -> Duration {
                try ContinuousClock().measure { _ = try pool.map([Int](repeating: 2000, count: 16), countPrimes) }
            }
            let (threads, processes) = (try ThreadPool(threads: 2), try Pool(processes: 2))
            _ = (try threads.apply(countPrimes, 10), try processes.apply(countPrimes, 10))
            print(try time(on: threads), try time(on: processes))

            do {
                try processes.apply(options: TaskOptions(timeout: .milliseconds(50))) { while true { pause() } }
            } catch is TimeoutError {
                print("ended")
            }
            do {
                try processes.apply { fatalError("out of tea") }
            } catch let lost as WorkerLost {
                print(lost.message ?? "")
            }
            threads.close()
            processes.close()
            try threads.join()
            try processes.join()
        }
    }

    @Test func `functions, crashes and shared data`() async throws {
        // In a process of its own, which crashes of others do not end.
        try await ChildProcess.run(timeout: .seconds(120)) {
            do {
                let n = try await ChildProcess.run { fibonacci(20) }
                print(n)
            }
            do {
                let n = try await ChildProcess.run(target: fibonacci, arguments: 20)
                try checkEqual(n, 6765)
            }
            final class Cache: Sendable { let size = 10 }

            let cache = Cache()
            do {
                let size = try await ChildProcess.run { cache.size }
                print(size)
            } catch let error as FunctionNotPortable {
                print(error.typeName ?? "")
            }
            do {
                let n = try await ChildProcess.run { parse("seven") }
                print(n)
            } catch let lost as ProcessLost {
                print(lost.code == .crashed)
                print(lost.message ?? "")
            }
            try await withPool(processes: 2) { pool in
                let outcomes = try await pool.mapResults(["1", "two", "3"], parse)
                for outcome in outcomes {
                    switch outcome {
                    case .success(let n): print(n)
                    case .failure(let error): print(error)
                    }
                }
            }
        }
    }

    @Test func `an array of squares`() async throws {
        try await isolated {
            let squares = try SharedArray<Int>(count: 1000)
            let halves = (0..<2).map { half in
                ChildProcess { for index in stride(from: half, to: 1000, by: 2) { squares[index] = index * index } }
            }
            for child in halves { try child.start() }
            for child in halves { try child.join() }
            print(squares[30], squares.reduce(0, +))
            for child in halves { try child.close() }
        }
    }

    @Test func `what the README says of a process`() async throws {
        try await isolated {
            let task: @Sendable (Int) -> Void = { number in while number > 0 { pause() } }
            let process = ChildProcess(target: task, arguments: 7, name: "indexer", daemon: true)
            try process.start()
            try process.join(timeout: .seconds(1))
            try process.terminate()
            try process.join()
            print(process.exitCode ?? 0)
            try checkEqual(process.exitCode, -15)
            try process.close()
        }
    }
}
