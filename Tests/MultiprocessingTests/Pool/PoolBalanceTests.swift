// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

private struct Late: Error, Codable {}

/// A value that counts how often it is decoded.
private struct Settings: Codable, Sendable {
    let decoded: SharedAtomic<Int>
    let words: [String]

    init(_ decoded: SharedAtomic<Int>, _ words: [String]) {
        self.decoded = decoded
        self.words = words
    }

    private enum CodingKeys: CodingKey { case decoded, words }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        decoded = try container.decode(SharedAtomic<Int>.self, forKey: .decoded)
        words = try container.decode([String].self, forKey: .words)
        decoded.add(1)
    }
}

/// A value that notes in its process how often it was decoded there. Not private: an optimised program keeps no metadata of such a type.
struct Book: Codable, Sendable {
    static let decoded = Atomic<Int>(0)

    let title: String
    let words: [String]

    init(_ title: String, words: [String]) {
        self.title = title
        self.words = words
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        title = try container.decode(String.self, forKey: .title)
        words = try container.decode([String].self, forKey: .words)
        Self.decoded.add(1, ordering: .relaxed)
    }
}

private struct Refusal: Error, Codable { let number: Int }
private func identity(_ n: Int) -> Int { n }

/// How work and what it needs get to the workers.
@Suite(.leavesNothing) struct PoolBalanceTests {
    @Test(.timeLimit(.minutes(30)), arguments: [3, 5, 8])
    func `tasks that wait for each other are all at work, whatever the workers have done before`(
        _ parties: Int
    ) async throws {
        try await isolated {
            let pool = try Pool(processes: parties)
            for _ in 0..<5 {
                // The one that was last at work is given what comes next: it has been quick.
                for n in 0..<600 { _ = try pool.apply { n } }
                let barrier = try Barrier(parties: parties)
                let met = try (0..<parties).map { _ in
                    try pool.applyAsync { _ = try barrier.wait(timeout: .seconds(60)) }
                }
                for result in met { try check(try result.wait(timeout: .seconds(60)), "\(pool.statistics)") }
                for result in met { try result.get() }
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a task behind a long one goes to a free worker, also when others were taken from there before`() async throws
    {
        try await isolated {
            let pool = try Pool(processes: 3)
            for _ in 0..<5 {
                for n in 0..<600 { _ = try pool.apply { n } }
                let done = try Event()
                let wait: @Sendable (Event) throws -> Void = { done in
                    guard try done.wait(timeout: .seconds(60)) else { throw Late() }
                }
                let first = try pool.applyAsync(wait, done)
                // These lie behind the first, and are taken from there.
                let short = try (0..<3).map { n in try pool.applyAsync { n } }
                for result in short { _ = try result.get(timeout: .seconds(60)) }
                let second = try pool.applyAsync(wait, done)
                try pool.applyAsync({ (done: Event) in done.set() }, done).get(timeout: .seconds(60))
                for result in [first, second] { try result.get(timeout: .seconds(60)) }
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `results come while a callback of another call waits for them`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let (firstGate, secondGate) = (try Event(), try Event())
            let (isCalled, goesOn) = (try Event(), try Event())
            let whenDone: @Sendable () -> Void = {
                isCalled.set()
                _ = try? goesOn.wait(timeout: .seconds(90))
            }
            let first = try pool.applyAsync(onSuccess: whenDone) { try firstGate.wait() }
            let second = try pool.applyAsync { _ = try secondGate.wait() }
            // Nothing tells when the pool's thread collects, and when the other one waits behind it: the pauses make that likely, and without it all is well too.
            usleep(20_000)
            let user = try onThreadAsync {
                try second.get(timeout: .seconds(60))
                goesOn.set()
                return true
            }
            usleep(20_000)
            firstGate.set()
            try check(try isCalled.wait(timeout: .seconds(60)))
            secondGate.set()
            try check(try user.get())
            try first.get(timeout: .seconds(60))
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `short calls behind one that takes unexpectedly long are done by others`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            // Each time the long one may be found to take long before all short ones are submitted; then the second worker gets those behind it at once.
            for round in 0..<20 {
                // So that the pool takes all calls for short, and thinks it not worth while to wake a second worker for them.
                for n in 0..<100 { try checkEqual(try pool.apply(identity, n), n) }
                let gate = try Event()
                let long = try pool.applyAsync { try gate.wait() }
                let short = try (0..<1 + round % 3).map { try pool.applyAsync(identity, $0) }
                for (n, result) in short.enumerated() { try checkEqual(try result.get(timeout: .seconds(60)), n) }
                try check(!long.isReady)
                gate.set()
                _ = try long.get()
            }
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `vectors are mapped one at a time, at their alignment, and an error leaves the others right`() async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let vectors = (0..<100).map { SIMD8<Double>(repeating: Double($0)) }
                try checkEqual(try pool.map(vectors, chunkSize: 1) { $0 + 1 }, vectors.map { $0 + 1 })
                let outcomes = try pool.mapResults(0..<10, chunkSize: 5) { (n: Int) throws -> Int in
                    guard n != 3 else { throw Refusal(number: n) }
                    return -n
                }
                for (n, outcome) in outcomes.enumerated() {
                    switch outcome {
                    case .success(let result): try checkEqual(result, -n)
                    case .failure(let error): try checkEqual((error as? Refusal)?.number, 3)
                    }
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `long items at the end of a map are shared out`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            // In step they have eight each. A busy machine may hold one of them up, but not all the time.
            var shares: [[Int32: Int]] = []
            for _ in 0..<5 {
                // All the short ones take less time than one of the long ones, and what they take is what the pool knows by then.
                let pids = try pool.map(0..<2016) { n -> Int32 in
                    if n >= 2000 { usleep(50_000) }
                    return getpid()
                }
                let share = Dictionary(grouping: pids.suffix(16)) { $0 }.mapValues(\.count)
                shares.append(share)
                if share.count == 2 && share.values.allSatisfy({ $0 >= 5 }) { break }
            }
            try check(shares.last?.count == 2 && shares.last?.values.allSatisfy { $0 >= 5 } == true, "\(shares)")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [1, 3])
    func `a value that ten thousand calls get crosses once to each worker`(_ processes: Int) async throws {
        try await isolated {
            let decoded = try SharedAtomic(0)
            let settings = Settings(decoded, (0..<1000).map { "word \($0)" })
            let pool = try Pool(processes: processes)
            try checkEqual(
                try pool.map(0..<10_000, with: settings, chunkSize: 1) { n, settings in settings.words.count + n },
                (1000..<11_000).map { $0 }
            )
            try check((1...processes).contains(decoded.load()), "context: \(decoded.load())")
            // Captured, in a map and in calls of the same function: while some are under way the handle in it is known, and what else there is.
            decoded.store(0)
            try checkEqual(
                try pool.map(0..<10_000, chunkSize: 1) { n in settings.words.count + n },
                (1000..<11_000).map { $0 }
            )
            try check((1...processes).contains(decoded.load()), "capture: \(decoded.load())")
            decoded.store(0)
            let read: @Sendable (Int) -> Int = { n in settings.words.count + n }
            let gate = try Event()
            let first = try (0..<processes).map { _ in try pool.applyAsync { try gate.wait() } }
            let results = try (0..<10_000).map { try pool.applyAsync(read, $0) }
            gate.set()
            for result in first { _ = try result.get() }
            try checkEqual(try results.map { try $0.get() }, (1000..<11_000).map { $0 })
            try check((1...processes).contains(decoded.load()), "calls: \(decoded.load())")
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [100, 20_000])
    func `what the function of many calls captures crosses once to each worker, also when it is large`(
        _ words: Int
    ) async throws {
        try await isolated {
            let captured = Book("title", words: (0..<words).map { "word \($0)" })
            let pool = try Pool(processes: 2)
            let read: @Sendable (Int) -> Int = { n in
                precondition(captured.words.count + captured.title.count > n % 100)
                return Book.decoded.load(ordering: .relaxed)
            }
            let results = try (0..<300).map { try pool.applyAsync(read, $0) }
            try checkEqual(Set(try results.map { try $0.get(timeout: .seconds(60)) }), [1])
            pool.close()
            try pool.join()
        }
    }
}
