// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

private func square(_ n: Int) -> Int { n * n }
private func add(_ a: Int, _ b: Int) -> Int { a + b }
private func slowly(_ n: Int) async throws -> Int {
    await Task.yield()
    return n + 1
}
/// As functions are in modules where asynchronous ones leave the caller's actor by default.
@concurrent private func strangely(_ n: Int) async throws -> Int { n * 2 }
private struct Odd: Error, Codable, Equatable { let number: Int }
private func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Odd(number: n) }
    return n
}
private struct Secret: Error {}
/// Whether the initializer was called in this process.
private let isInitialized = Atomic<Bool>(false)

/// What a pool promises, wherever its tasks run.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct EngineConformanceTests {
    @Test(arguments: PoolSubject.all) func `map returns results in the order of the items`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let options = subject.options
                try checkEqual(try pool.map([1, 2, 3, 4, 5], options: options, square), [1, 4, 9, 16, 25])
                try checkEqual(try pool.map([Int](), options: options, square), [])
                try checkEqual(
                    try pool.map(0..<subject.atMost(500), chunkSize: 1, options: options, square),
                    (0..<subject.atMost(500)).map(square)
                )
                try checkEqual(try pool.map(["a", "bb"], with: 3, options: options) { $0.count * $1 }, [3, 6])
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `a hundred thousand items come back in order`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let items = 0..<subject.atMost(100_000)
                try checkEqual(try pool.map(items, options: subject.options, square), items.map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `calls return what their function returns`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let options = subject.options
                try checkEqual(try pool.apply(options: options, add, 3, 4), 7)
                let base = 40
                try checkEqual(try pool.apply(options: options) { base + 2 }, 42)
                try pool.apply(options: options) { _ = getpid() }
                let results = try (0..<200).map { try pool.applyAsync(options: options, square, $0) }
                try checkEqual(try results.map { try $0.get() }, (0..<200).map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `asynchronous functions are awaited`(subject: PoolSubject) async throws {
        // Not `isolated`: where they run in this process, Swift's own threads stay.
        try await apart(timeout: .seconds(300)) {
            try subject.withPool { pool in
                let options = subject.options
                try checkEqual(try pool.applyAsync(options: options, slowly, 4).get(), 5)
                let results = try (0..<100).map { try pool.applyAsync(options: options, slowly, $0) }
                try checkEqual(try results.map { try $0.get() }, Array(1...100))
                // With what they capture, and without parameters as well as with some.
                let word = "base"
                let alone = try pool.applyAsync(options: options) { () async throws -> Int in
                    try await slowly(word.count)
                }
                try checkEqual(try alone.get(), 5)
                let many = try pool.applyAsync(
                    options: options,
                    { (n: Int, text: String) async throws -> String in
                        "\(try await slowly(n))\(word)\(text)"
                    },
                    6,
                    "s"
                )
                try checkEqual(try many.get(), "7bases")
                try checkEqual(try pool.applyAsync(options: options, strangely, 4).get(), 8)
                let pairs = try pool.starmapAsync([(1, "a"), (2, "b")], options: options) {
                    (n: Int, text: String) async in
                    "\(n)\(word)\(text)"
                }
                try checkEqual(try pairs.get(), ["1basea", "2baseb"])
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `elements with deadlines are answered one by one, each once`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                var options = subject.options
                options.timeout = .seconds(60)
                let items = 0..<subject.atMost(2000)
                try checkEqual(try pool.map(items, options: options, square), items.map(square))
                try checkEqual(
                    try pool.map(0..<100, chunkSize: 7, options: options, square),
                    (0..<100).map(square)
                )
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `errors come back, as themselves where they are Codable`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let options = subject.options
                let odd: Odd = try thrown { _ = try pool.map([2, 4, 5, 6], options: options, refuseOdd) }
                try checkEqual(odd, Odd(number: 5))
                let remote: RemoteError = try thrown { try pool.apply(options: options) { throw Secret() } }
                try check(remote.typeName.hasSuffix("Secret"), remote.typeName)
                try checkEqual(try pool.map([2, 4], options: options, refuseOdd), [2, 4])
            }
        }
    }

    @Test(arguments: PoolSubject.faithful) func `a call that takes too long fails, and the pool goes on`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let options = TaskOptions(timeout: .milliseconds(1))
                let _: TimeoutError = try thrown { try pool.apply(options: options) { _ = usleep(1_000_000) } }
                try checkEqual(try pool.map(0..<100, square), (0..<100).map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `terminate fails what waits and refuses what comes`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let results = try (0..<1000).map { try pool.applyAsync(options: subject.options, square, $0) }
                pool.terminate()
                for (n, result) in results.enumerated() {
                    do {
                        try checkEqual(try result.get(), n * n)
                    } catch let error as PoolError {
                        try checkEqual(error.code, .terminated)
                    }
                }
                try pool.join()
                let error: PoolError = try thrown { _ = try pool.apply(square, 1) }
                try checkEqual(error.code, .notRunning)
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `close lets calls end, and refuses further ones`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let joined: PoolError = try thrown { try pool.join() }
                try checkEqual(joined.code, .stillRunning)
                let results = try (0..<100).map { try pool.applyAsync(options: subject.options, square, $0) }
                pool.close()
                let error: PoolError = try thrown { _ = try pool.apply(square, 1) }
                try checkEqual(error.code, .notRunning)
                try checkEqual(try results.map { try $0.get() }, (0..<100).map(square))
                try pool.join()
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `a cancelled call fails alone`(subject: PoolSubject) async throws {
        try await isolated {
            try subject.withPool { pool in
                let results = try (0..<50).map { try pool.applyAsync(options: subject.options, square, $0) }
                results[49].cancel()
                do {
                    // It may have been done already.
                    try checkEqual(try results[49].get(), 49 * 49)
                } catch is CancellationError {}
                try checkEqual(try results[..<49].map { try $0.get() }, (0..<49).map(square))
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `an initializer is called before the first task`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool(initializer: { isInitialized.store(true, ordering: .releasing) }) { pool in
                let seen = try pool.map(0..<100, options: subject.options) { _ in
                    isInitialized.load(ordering: .acquiring)
                }
                try check(seen.allSatisfy { $0 })
            }
        }
    }

    @Test(arguments: PoolSubject.all) func `an initializer that always fails fails the calls and ends the tries`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool(initializer: { throw Odd(number: 1) }) { pool in
                for _ in 0..<2 {
                    let error: PoolError = try thrown { _ = try pool.apply(options: subject.options, square, 1) }
                    try checkEqual(error.code, .workersFail)
                    try check(error.message.contains("Odd"), error.message)
                }
            }
        }
    }

    @Test(arguments: PoolSubject.faithful) func `handles with descriptors go where the engine can pass them`(
        subject: PoolSubject
    ) async throws {
        try await isolated {
            try subject.withPool { pool in
                let queue = try Queue<Int>(capacity: 4)
                let put: @Sendable (Queue<Int>) throws -> Int = { queue in
                    try queue.put(7)
                    return 1
                }
                if case .test = subject {
                    let argument: EngineUnsupported = try thrown { _ = try pool.apply(put, queue) }
                    try checkEqual(argument.engine, "a test")
                    let _: EngineUnsupported = try thrown { _ = try pool.map([queue], put) }
                    let _: EngineUnsupported = try thrown { try pool.apply { try queue.put(8) } }
                    try checkEqual(try pool.apply(square, 3), 9)
                } else {
                    try checkEqual(try pool.apply(put, queue), 1)
                    try checkEqual(try queue.get(timeout: .seconds(60)), 7)
                    try pool.apply { try queue.put(8) }
                    try checkEqual(try queue.get(timeout: .seconds(60)), 8)
                }
            }
        }
    }

    @Test func `what an engine cannot do is refused when the pool is made`() throws {
        for engine in [ThreadEngine(), InlineEngine(), TestEngine()] as [any ExecutionEngine] {
            var specification = WorkerSpecification(count: 1)
            specification.maximumMemory = 1 << 20
            #expect(throws: EngineUnsupported.self) { _ = try Pool(engine, specification) }
        }
    }

    @Test func `an attempt that is always lost fails with the last loss and their number`() async throws {
        try await isolated {
            let pool = try Pool(TestEngine(seed: 1, faults: Faults(lost: 100)), WorkerSpecification(count: 2))
            let lost: WorkerLost = try thrown { _ = try pool.apply(options: TaskOptions(retries: 2), square, 1) }
            try checkEqual(lost.count, 3)
            try check("\(lost)".contains("after 2 others that had the same task"), "\(lost)")
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `an answer that is always damaged is a loss, never a value`() async throws {
        try await isolated {
            let pool = try Pool(TestEngine(seed: 2, faults: Faults(damaged: 100)), WorkerSpecification(count: 2))
            for n in 0..<200 {
                let error: PoolError = try thrown { _ = try pool.apply(square, n) }
                try checkEqual(error.code, .engine)
            }
            pool.terminate()
            try pool.join()
        }
    }
}
