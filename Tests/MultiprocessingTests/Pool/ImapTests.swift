// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

private func square(_ n: Int) -> Int { n * n }
private func squareLater(_ n: Int) async -> Int {
    await Task.yield()
    return n * n
}
private struct Odd: Error, Codable, Equatable { let number: Int }
private func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Odd(number: n) }
    return n
}
private func dieAt42(_ n: Int) throws -> Int {
    if n == 42 { kill(getpid(), SIGKILL) }
    return n
}

/// Cannot be encoded when the number is one of some.
private struct Shy: Codable, Sendable {
    struct Refusal: Error, Equatable { let number: Int }
    let number: Int
    init(_ number: Int) { self.number = number }
    init(from decoder: any Decoder) throws { number = try decoder.singleValueContainer().decode(Int.self) }
    func encode(to encoder: any Encoder) throws {
        if number % 3 == 1 { throw Refusal(number: number) }
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}

/// Takes all results, blocking.
private func all<R>(_ results: PoolResults<R>) throws -> [R] {
    var all: [R] = []
    while let result = try results.next(timeout: .seconds(60)) { all.append(result) }
    return all
}

/// Counts what is read from it.
private final class Counted: Sequence, IteratorProtocol, Sendable {
    let read = Atomic<Int>(0)
    func next() -> Int? { read.add(1, ordering: .relaxed).oldValue }
}

@Suite(.leavesNothing) struct ImapTests {
    @Test(.timeLimit(.minutes(30)), arguments: [nil, 1, 2, 7])
    func `imap gives the results in order, imapUnordered each of them once`(chunkSize: Int?) async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                for count in [0, 1, 3, 5000] {
                    let expected = (0..<count).map(square)
                    try checkEqual(try all(pool.imap(0..<count, chunkSize: chunkSize, square)), expected)
                    try checkEqual(
                        try all(pool.imapUnordered(0..<count, chunkSize: chunkSize, square)).sorted(),
                        expected
                    )
                }
                let words = pool.imap(["a", "bb", "ccc"], with: 3, chunkSize: chunkSize) { $0.count * $1 }
                try checkEqual(try all(words), [3, 6, 9])
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `async loops take results of sequences and async sequences`() async throws {
        try await apart(timeout: .seconds(90)) {
            try await withPool(processes: 2) { pool in
                var results: [Int] = []
                for try await result in pool.imap(0..<1000, squareLater) { results.append(result) }
                try checkEqual(results, (0..<1000).map(square))
                results = []
                let (stream, source) = AsyncStream<Int>.makeStream()
                Task {
                    for n in 0..<1000 { source.yield(n) }
                    source.finish()
                }
                for try await result in pool.imap(stream, square) { results.append(result) }
                try checkEqual(results, (0..<1000).map(square))
                let (other, otherSource) = AsyncStream<Int>.makeStream()
                Task {
                    for n in 0..<1000 { otherSource.yield(n) }
                    otherSource.finish()
                }
                results = []
                for try await result in pool.imapUnordered(other, with: 2, { $0 * $1 }) { results.append(result) }
                try checkEqual(results.sorted(), (0..<1000).map { 2 * $0 })
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `an infinite input is read only as far ahead as allowed`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let input = Counted()
                let results = pool.imap(input, bufferSize: 10, square)
                for n in 0..<500 {
                    try checkEqual(try results.next(), n * n)
                    try check(input.read.load(ordering: .relaxed) <= n + 1 + 10)
                }
                let free = Counted()
                let more = pool.imapUnordered(free, square)
                for _ in 0..<500 { try check(try more.next() != nil) }
                try check(free.read.load(ordering: .relaxed) < 10_000)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `an async input is read only as far ahead as allowed`() async throws {
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                let read = SharedCounter()
                let results = pool.imap(AsyncStream { read.next() }, bufferSize: 5, square)
                for n in 0..<200 {
                    try checkEqual(try await results.next(), n * n)
                    try check(read.count <= n + 1 + 6, "\(read.count) after \(n)")
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [nil, 1, 3])
    func `an item that fails throws in its place, and the others go on`(chunkSize: Int?) async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let results = pool.imap(0..<100, chunkSize: chunkSize, refuseOdd)
                for n in 0..<100 {
                    if n % 2 == 0 {
                        try checkEqual(try results.next(), n)
                    } else {
                        try checkEqual(try checkThrows(Odd.self) { _ = try results.next() }, Odd(number: n))
                    }
                }
                try checkEqual(try results.next(), nil)
                let others = pool.imap(0..<100, chunkSize: chunkSize, dieAt42)
                for n in 0..<100 {
                    if n == 42 {
                        _ = try checkThrows(WorkerLost.self) { _ = try others.next() }
                    } else {
                        try checkEqual(try others.next(), n)
                    }
                }
                try checkEqual(try others.next(), nil)
                let retried = TaskOptions(retries: 2)
                try checkEqual(
                    try all(pool.imap(0..<40, chunkSize: chunkSize, options: retried, dieAt42)),
                    Array(0..<40)
                )
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `an item that cannot be encoded fails alone, in its place`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let results = pool.imap((0..<100).map(Shy.init)) { $0.number }
                for n in 0..<100 {
                    if n % 3 == 1 {
                        try checkEqual(try checkThrows(Shy.Refusal.self) { _ = try results.next() }.number, n)
                    } else {
                        try checkEqual(try results.next(), n)
                    }
                }
                try checkEqual(try results.next(), nil)
                let unordered = pool.imapUnordered((0..<30).map(Shy.init)) { $0.number }
                var (good, bad) = (0, 0)
                for _ in 0..<30 { (try? unordered.next()) == nil ? (bad += 1) : (good += 1) }
                try checkEqual([good, bad], [20, 10])
                try checkEqual(try unordered.next(), nil)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `results that do not come in time can be asked for again`() async throws {
        try await isolated {
            try withPool(processes: 1) { pool in
                let gate = try Event()
                let results = pool.imap([1, 2]) { (n: Int) -> Int in
                    _ = try gate.wait()
                    return n
                }
                _ = try checkThrows(TimeoutError.self) { _ = try results.next(timeout: .milliseconds(20)) }
                _ = try checkThrows(TimeoutError.self) { _ = try results.next(timeout: .zero) }
                gate.set()
                try checkEqual(try results.next(), 1)
                try checkEqual(try results.next(), 2)
                try checkEqual(try results.next(), nil)
                try checkEqual(try results.next(timeout: .zero), nil)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `what is wrong with the call, the first result throws`() async throws {
        final class NotPortable: Sendable {}
        try await isolated {
            try withPool(processes: 1) { pool in
                let object = NotPortable()
                let results = pool.imap(0..<3) { (n: Int) -> Int in withExtendedLifetime(object) { n } }
                _ = try checkThrows(FunctionNotPortable.self) { _ = try results.next() }
                try checkEqual(try results.next(), nil)
                let error = try checkThrows(PoolError.self) { _ = try pool.imap([1], chunkSize: 0, square).next() }
                try checkEqual(error.code, .invalidArgument)
                _ = try checkThrows(PoolError.self) { _ = try pool.imap([1], bufferSize: 0, square).next() }
                let cut = pool.imap(0..., square)
                try checkEqual(try cut.next(), 0)
                pool.terminate()
                _ = try checkThrows(PoolError.self) { while try cut.next() != nil {} }
                _ = try checkThrows(PoolError.self) { _ = try pool.imap([1], square).next() }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `dropping the results stops the reading and frees the workers`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                for _ in 0..<20 {
                    let input = Counted()
                    var results: PoolResults<Int>? = pool.imap(input, square)
                    try check(try results?.next() == 0)
                    results = nil
                    try checkEqual(try pool.apply(square, 3), 9)
                }
                try checkEventually("something is left") {
                    pool.statistics.waiting == 0 && pool.statistics.running == 0
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `cancelling the task that takes results ends the calls`() async throws {
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                let started = try SharedAtomic<Int>(0)
                let task = Task {
                    for try await _ in pool.imap(
                        0..<10,
                        { (_: Int) -> Int in
                            started.add(1)
                            while true { pause() }
                        }
                    ) {}
                }
                while started.load() < 2 { await Task.yield() }
                task.cancel()
                let result = await task.result
                try check((try? result.get()) == nil)
                try checkEqual(try await pool.apply(square, 3), 9)
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `an input that throws ends the results with its error`() async throws {
        struct Broken: Error {}
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                let (stream, source) = AsyncThrowingStream<Int, any Error>.makeStream()
                for n in 0..<10 { source.yield(n) }
                source.finish(throwing: Broken())
                var results: [Int] = []
                do {
                    for try await result in pool.imap(stream, square) { results.append(result) }
                    try check(false, "no error")
                } catch is Broken {}
                try checkEqual(results, (0..<10).map(square))
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `outcomes go on after an error`() async throws {
        try await apart(timeout: .seconds(300)) {
            try await withPool(processes: 2) { pool in
                var (good, bad) = (0, 0)
                for await outcome in pool.imapUnordered(0..<100, refuseOdd).results {
                    switch outcome {
                    case .success: good += 1
                    case .failure: bad += 1
                    }
                }
                try checkEqual([good, bad], [50, 50])
            }
        }
    }

    @Test(.timeLimit(.minutes(30))) func `threads give results lazily as well, of things that are not Codable`()
        async throws
    {
        final class Thing: Sendable {
            let number: Int
            init(_ number: Int) { self.number = number }
        }
        try await isolated {
            let pool = try ThreadPool(threads: 2)
            let things = (0..<1000).map(Thing.init)
            let results = pool.imap(things) { Thing($0.number + 1) }
            for n in 0..<1000 { try checkEqual(try results.next()?.number, n + 1) }
            try check(try results.next() == nil)
            try checkEqual(try all(pool.imapUnordered(0..<1000, chunkSize: 1, square)).sorted(), (0..<1000).map(square))
            let odd = pool.imap(0..<3, refuseOdd)
            try checkEqual(try odd.next(), 0)
            _ = try checkThrows(Odd.self) { _ = try odd.next() }
            try checkEqual(try odd.next(), 2)
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [nil, 1, 16])
    func `killed workers lose and double nothing where items are tried again`(chunkSize: Int?) async throws {
        try await isolated {
            try withPool(processes: 3) { pool in
                let options = TaskOptions(retries: 1000)
                let killer = try Killer(pool, seed: 11, pause: 4000, limit: 60)
                var count = 0
                let results = pool.imap(0..., chunkSize: chunkSize, options: options, square)
                while killer.kills < 60 || count < 5000 {
                    try checkEqual(try results.next(timeout: .seconds(60)), count * count)
                    count += 1
                }
                try killer.stop()
            }
        }
    }
}

/// Numbers, one after the other.
private final class SharedCounter: Sendable {
    private let number = Atomic<Int>(0)
    var count: Int { number.load(ordering: .relaxed) }
    func next() -> Int { number.add(1, ordering: .relaxed).oldValue }
}
