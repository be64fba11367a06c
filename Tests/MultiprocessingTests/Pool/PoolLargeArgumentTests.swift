// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Synchronization
import Testing

@testable import Multiprocessing

/// Bytes that tell in every page where they are and whose.
private func pattern(_ seed: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
        for start in stride(from: 0, to: count, by: 4096) {
            memset(&bytes[start], Int32(truncatingIfNeeded: start / 4096 + seed), min(4096, count - start))
        }
        initialized = count
    }
}

/// Whether all bytes are where they were.
private func isWhole(_ bytes: [UInt8], _ seed: Int) -> Bool {
    let expected = pattern(seed, count: bytes.count)
    return memcmp(bytes, expected, bytes.count) == 0
}

/// Not private, here and below: an optimised program keeps no metadata of such a type.
struct NotThisTime: Error, Codable {}
/// Cannot be encoded.
struct Unwilling: Codable, Sendable {
    init() {}
    init(from decoder: any Decoder) throws {}
    func encode(to encoder: any Encoder) throws { throw NotThisTime() }
}

/// How many segments with payloads this process has mapped.
private func mappedPayloads() -> Int { Proc.lines("/proc/self/maps").count { $0.contains("multiprocessing-payload") } }

private func pool(_ workers: Int, keeping time: Duration = .seconds(10)) throws -> Pool {
    var specification = WorkerSpecification(count: workers)
    specification.name = "Pool"
    specification.keepsSegments = time
    return try Pool(LocalEngine(), specification)
}

/// Arguments that are encoded where the worker reads them.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolLargeArgumentTests {
    @Test func `large arguments of many threads at once arrive whole, also at other workers than was thought`()
        async throws
    {
        try await isolated {
            let pool = try pool(2)
            try TestThreads(4) { thread in
                for round in 0..<12 {
                    let seed = thread * 100 + round
                    let size = (1 << 20) + seed * 5000
                    try check(try pool.apply({ isWhole($0, $1) }, pattern(seed, count: size), seed))
                }
            }.join()
            // More at once than there are workers.
            let results = try (0..<12).map { try pool.applyAsync({ isWhole($0, $1) }, pattern($0, count: 3 << 20), $0) }
            for result in results { try check(try result.get(timeout: .seconds(60))) }
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `a large argument is the same at each try, whatever comes to the worker meanwhile`() async throws {
        try await isolated {
            let pool = try pool(1)
            let tries = try SharedAtomic<Int>(0)
            let options = TaskOptions(retries: 3, retriesErrors: true)
            let gate = try Event()
            let again = try pool.applyAsync(
                options: options,
                { (bytes: [UInt8], tries: SharedAtomic<Int>, gate: Event) -> Bool in
                    if tries.add(1).newValue == 1 { _ = try gate.wait() }
                    guard isWhole(bytes, 1) else { return false }
                    switch tries.load() {
                    case 1: throw NotThisTime()
                    case 2: kill(getpid(), SIGKILL)
                    case 3: throw NotThisTime()
                    default: break
                    }
                    return true
                },
                pattern(1, count: 2 << 20),
                tries,
                gate
            )
            let others = try (2..<8).map { try pool.applyAsync({ isWhole($0, $1) }, pattern($0, count: 2 << 20), $0) }
            gate.set()
            try check(try again.get(timeout: .seconds(60)))
            try checkEqual(tries.load(), 4)
            for other in others { try check(try other.get(timeout: .seconds(60))) }
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `arguments that cannot be encoded, or outgrow what was lent, leave no memory behind`() async throws {
        try await isolated {
            let pool = try pool(1)
            for round in 0..<40 {
                let bytes = pattern(round, count: 2 << 20)
                _ = try checkThrows(NotThisTime.self) {
                    _ = try pool.apply({ (bytes: [UInt8], _: Unwilling) in bytes.count }, bytes, Unwilling())
                }
                try check(
                    try pool.apply({ isWhole($0, 3) && isWhole($1, $2) }, pattern(3, count: 5 << 20), bytes, round)
                )
            }
            try check(mappedPayloads() <= 4, "\(mappedPayloads()) segments are mapped")
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `segments that nobody uses are given back, and made again when they are needed`() async throws {
        try await isolated {
            let pool = try pool(2, keeping: .milliseconds(100))
            for round in 0..<3 {
                let results = try (0..<4).map { n in
                    try pool.applyAsync({ $0 }, pattern(round + n, count: (8 << 20) + n))
                }
                for (n, result) in results.enumerated() { try check(isWhole(try result.get(), round + n)) }
                try check(mappedPayloads() > 0)
                withExtendedLifetime(results) {}
            }
            let deadline = ContinuousClock.now + .seconds(30)
            func isGone(_ count: Int) -> Bool { count == 0 || ContinuousClock.now > deadline }
            while !isGone(mappedPayloads()) { usleep(1000) }
            try checkEqual(mappedPayloads(), 0)
            // In the workers as well; what is read there was written before.
            let inWorkers = try pool.map(0..<20, chunkSize: 1) { _ in mappedPayloads() }
            try checkEqual(Set(inWorkers), [0])
            // A result that waits to be read stays.
            let kept = try pool.applyAsync({ $0 }, pattern(9, count: 8 << 20))
            _ = try kept.wait()
            // Meanwhile the pool would like to give its segment back.
            usleep(300_000)
            for n in 0..<4 { try check(try pool.apply({ isWhole($0, $1) }, pattern(n, count: 8 << 20), n)) }
            try check(isWhole(try kept.get(), 9))
            pool.terminate()
            try pool.join()
        }
    }
}
