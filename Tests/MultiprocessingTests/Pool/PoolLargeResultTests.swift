// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Sets how many files this process may have open.
private func limitDescriptors(to count: UInt) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = count
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// Bytes too many to lie in a lane.
private func page(_ n: Int) -> [UInt8] { [UInt8](repeating: UInt8(truncatingIfNeeded: n), count: 20_000) }

private func volume(_ n: Int) -> [UInt8] { [UInt8](repeating: UInt8(truncatingIfNeeded: n), count: 3 << 20) }

/// The segments with payloads that this process has mapped, and those that it has open.
private func payloads() -> (mapped: Int, open: Int) {
    (
        Proc.lines("/proc/self/maps").count { $0.contains("multiprocessing-payload") },
        Proc.descriptors().count { $0.contains("multiprocessing-payload") }
    )
}

/// Results that do not fit into a lane, many of them, before anybody reads one.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolLargeResultTests {
    @Test func `thousands of large results that wait to be read take no descriptors, and few mappings`() async throws {
        try await isolated {
            limitDescriptors(to: 256)
            let pool = try Pool(processes: 2)
            let pages = try pool.map(0..<3000, chunkSize: 1, page)
            try check(pages.indices.allSatisfy { pages[$0] == page($0) })
            let outcomes = try pool.mapResults(0..<3000, page)
            for (n, outcome) in outcomes.enumerated() { try check(try outcome.get() == page(n), "\(n)") }

            let results = try (0..<3000).map { try pool.applyAsync(page, $0) }
            for result in results { try check(try result.wait(timeout: .seconds(60)), "no result has come") }
            let kept = payloads()
            // Those that each worker keeps, and no more.
            try check(kept.mapped <= 2 * 16, "\(kept.mapped) segments are mapped")
            try checkEqual(kept.open, 0)
            for (n, result) in results.enumerated() { try check(try result.get() == page(n), "\(n)") }
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `results of megabytes stay where they were written until they are read, without descriptors`()
        async throws
    {
        try await isolated {
            limitDescriptors(to: 100)
            let pool = try Pool(processes: 1)
            let results = try (0..<120).map { try pool.applyAsync(volume, $0) }
            for result in results { try check(try result.wait(timeout: .seconds(60)), "no result has come") }
            try check(payloads().mapped >= 100)
            try checkEqual(payloads().open, 0)
            for (n, result) in results.enumerated() { try check(try result.get() == volume(n), "\(n)") }
            pool.terminate()
            try pool.join()
        }
    }

    @Test func `large arguments take no descriptors either`() async throws {
        try await isolated {
            limitDescriptors(to: 100)
            let pool = try Pool(processes: 2)
            let pages = (0..<500).map(page)
            try checkEqual(try pool.map(pages, chunkSize: 1) { $0.count }, Array(repeating: 20_000, count: 500))
            let later = try pages.map { try pool.applyAsync({ (page: [UInt8]) in Int(page[0]) }, $0) }
            for (n, result) in later.enumerated() { try checkEqual(try result.get(), n & 255) }
            try checkEqual(payloads().open, 0)
            let inWorkers = try pool.map(0..<20, chunkSize: 1) { _ in payloads().open }
            try checkEqual(inWorkers, Array(repeating: 0, count: 20))
            pool.terminate()
            try pool.join()
        }
    }
}
