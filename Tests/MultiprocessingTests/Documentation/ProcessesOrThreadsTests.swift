// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The code of the guide "Processes or threads".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ProcessesOrThreadsTests {
    @Test func `how to measure it for your own work`() async throws {
        try await isolated {
            let (threads, processes) = (try ThreadPool(threads: 2), try Pool(processes: 2))
            _ = (try threads.apply(countPrimes, 10), try processes.apply(countPrimes, 10))
            try check(try time(on: threads) > .zero)
            try check(try time(on: processes) > .zero)
            threads.close()
            processes.close()
            try threads.join()
            try processes.join()
        }
    }

    @Test func `what only a process survives`() async throws {
        try await isolated {
            try withPool(processes: 2) { processes in
                var ended = 0
                do {
                    try processes.apply(options: TaskOptions(timeout: .milliseconds(50))) { while true { pause() } }
                } catch is TimeoutError {
                    ended += 1
                }
                do {
                    try processes.apply { fatalError("out of tea") }
                } catch let lost as WorkerLost {
                    ended += 1
                    try check(lost.message?.hasSuffix(": Fatal error: out of tea") == true, "\(lost)")
                }
                try checkEqual(ended, 2)
            }
        }
    }

    @Test func `large data`() async throws {
        try await isolated {
            try withPool(processes: 2) { processes in
                let pixels = try SharedArray<UInt8>(count: 1 << 20)
                let sizes = try processes.map(0..<4) { part in
                    let size = pixels.count / 4
                    pixels.withUnsafeMutableBufferPointer { pixels in
                        for index in part * size..<(part + 1) * size { pixels[index] = UInt8(part) }
                    }
                    return size
                }
                try checkEqual(sizes, [1 << 18, 1 << 18, 1 << 18, 1 << 18])
                try checkEqual([0, 262_143, 262_144, 1_048_575].map { pixels[$0] }, [0, 0, 1, 3])
            }
        }
    }
}

/// Counts the primes below `limit`, the slow way.
private func countPrimes(below limit: Int) -> Int {
    (2..<limit).count { n in !(2..<n).prefix { $0 * $0 <= n }.contains { n % $0 == 0 } }
}

/// How long either pool takes for the same work.
private func time(on pool: some WorkerPool) throws -> Duration {
    try ContinuousClock().measure { _ = try pool.map([Int](repeating: 2000, count: 16), countPrimes) }
}
