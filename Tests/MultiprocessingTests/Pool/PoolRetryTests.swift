// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// What `retries` means for the items of a map.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolRetryTests {
    /// The processes that try an item count for it, each for itself.
    private static func tries(_ count: Int) throws -> SharedArray<Int> { try SharedArray(count: count) }

    @Test(arguments: [Optional(10), 3, nil])
    func `each item of a map is tried again, although its chunk was before`(_ chunkSize: Int?) async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let tries = try Self.tries(20)
            // Items 3, 4 and 7 end their worker once each; one retry is enough for all of them.
            let dies: @Sendable (Int) throws -> Int = { n in
                let number = try tries.withLock {
                    tries[n] += 1
                    return tries[n]
                }
                if [3, 4, 7].contains(n), number == 1 { _exit(1) }
                return n * n
            }
            let options = TaskOptions(retries: 1)
            try checkEqual(try pool.map(0..<20, chunkSize: chunkSize, options: options, dies), (0..<20).map { $0 * $0 })
            try checkEqual([3, 4, 7].map { tries[$0] }, [2, 2, 2])
            pool.close()
            try pool.join()
        }
    }

    @Test func `an item that is lost too often fails its map`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            let tries = try Self.tries(20)
            let lost = try checkThrows(WorkerLost.self) {
                _ = try pool.map(0..<20, chunkSize: 10, options: TaskOptions(retries: 2)) { n -> Int in
                    try tries.withLock { tries[n] += 1 }
                    if n == 5 { _exit(1) }
                    return n
                }
            }
            try checkEqual(tries[5], 3)
            try checkEqual(lost.items, 5..<6)
            try check("\(lost)".contains("at item 5, after 2 others"), "\(lost)")
            // Without all that it is known which chunk it was.
            let chunk = try checkThrows(WorkerLost.self) {
                _ = try pool.map(0..<25, chunkSize: 10) { n -> Int in n == 22 ? hangUp(n) : n }
            }
            try checkEqual(chunk.items, 20..<25)
            let outcomes = try pool.mapResults(0..<4) { n -> Int in n == 2 ? hangUp(n) : n }
            try checkEqual((outcomes[2].failure as? WorkerLost)?.items, 2..<3)
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `each item that throws is tried again where that is asked for`() async throws {
        struct TooEarly: Error, Codable {}
        try await isolated {
            for pool in [try Pool(processes: 2), try Pool.inline] {
                let tries = try Self.tries(12)
                let throwing: @Sendable (Int) throws -> Int = { n in
                    let number = try tries.withLock {
                        tries[n] += 1
                        return tries[n]
                    }
                    if n % 3 == 0, number == 1 { throw TooEarly() }
                    return n
                }
                let options = TaskOptions(retries: 1, retriesErrors: true)
                try checkEqual(try pool.map(0..<12, chunkSize: 6, options: options, throwing), Array(0..<12))
                pool.close()
                try pool.join()
            }
        }
    }
}

/// Ends its process.
private func hangUp(_ n: Int) -> Int { _exit(1) }

extension Result {
    /// The error, if it is one.
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
