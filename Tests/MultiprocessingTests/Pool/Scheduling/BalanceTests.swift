// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// Workers with a clock of their own, behind the real scheduler: they read ahead as much as local workers do, and give back what they have not begun when others are idle.
private struct SimulatedPool {
    /// What handing out a task costs its worker, in nanoseconds.
    private static let overhead: Int64 = 3000

    private struct Worker {
        var lane: [PoolStateMachine.Assignment] = []
        var readingAhead = ReadingAhead()
        /// When it is done with the first in its lane.
        var end: Int64?
    }

    private var machine = PoolStateMachine()
    private var workers: [Worker]
    private let pieces: [Int64]
    private var now: Int64 = 0

    init(items: [Int64], workers count: Int) {
        let size = PieceSize.forItems(items.count, workers: count)
        pieces = stride(from: 0, to: items.count, by: size).map { start in
            items[start..<min(start + size, items.count)].reduce(0, +)
        }
        workers = Array(repeating: Worker(), count: count)
        let job = machine.add(PoolStateMachine.Rules())
        _ = machine.addPieces(pieces.count, to: job, isLast: true)
    }

    /// Lets all pieces be done, and returns when the last of them is.
    mutating func run() -> Int64 {
        dispatch()
        while let next = workers.indices.filter({ workers[$0].end != nil }).min(by: { end($0) < end($1) }) {
            now = end(next)
            finish(next)
            dispatch()
        }
        return now
    }

    private func end(_ worker: Int) -> Int64 { workers[worker].end ?? .max }

    private mutating func finish(_ index: Int) {
        let done = workers[index].lane.removeFirst()
        let time = time(of: done)
        _ = machine.finished(done.attempt, threw: false, nanoseconds: time)
        workers[index].readingAhead.learn(time)
        workers[index].end = nil
        begin(index)
    }

    private func time(of task: PoolStateMachine.Assignment) -> Int64 {
        pieces[task.pieces].reduce(Self.overhead, +)
    }

    private mutating func begin(_ index: Int) {
        guard workers[index].end == nil, let first = workers[index].lane.first else { return }
        workers[index].end = now + time(of: first)
    }

    private mutating func dispatch() {
        handOut()
        guard machine.waiting == 0, machine.running > 1, workers.contains(where: \.lane.isEmpty),
            let laden = workers.indices.max(by: { workers[$0].lane.count < workers[$1].lane.count }),
            workers[laden].lane.count >= 2
        else { return }
        for _ in 0..<workers[laden].lane.count / 2 {
            _ = machine.lost(workers[laden].lane.removeLast().attempt, .none)
        }
        handOut()
    }

    private mutating func handOut() {
        while let index = workers.firstIndex(where: \.lane.isEmpty)
            ?? workers.indices.filter({ workers[$0].lane.count < workers[$0].readingAhead.depth })
            .min(by: { workers[$0].lane.count < workers[$1].lane.count })
        {
            guard let next = machine.next(parallelism: workers.count) else { return }
            workers[index].lane.append(next)
            begin(index)
        }
    }
}

/// Loads whose items take different times.
enum SkewedLoad: String, CaseIterable, Codable, Sendable {
    case even, rising, falling, longAtTheEnd, longAtTheBeginning, longNowAndThen, heavyTail

    /// The time of each item; together `total` nanoseconds.
    func items(_ count: Int, total: Int64) -> [Int64] {
        var random = Seeded(seed: 11)
        let weights = (0..<count).map { n -> Double in
            switch self {
            case .even: return 1
            case .rising: return Double(n + 1)
            case .falling: return Double(count - n)
            case .longAtTheEnd: return n >= count * 9 / 10 ? 100 : 1
            case .longAtTheBeginning: return n < count / 10 ? 100 : 1
            // No order could make up for a single item that takes a good part of all the time and happens to be the last.
            case .longNowAndThen: return Int.random(in: 0..<50, using: &random) == 0 ? 20 : 1
            case .heavyTail: return min(20, 1 / Double.random(in: 0.01..<1, using: &random))
            }
        }
        let sum = weights.reduce(0, +)
        return weights.map { Int64($0 / sum * Double(total)) }
    }
}

/// How evenly the work of a map is shared out.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct BalanceTests {
    @Test(arguments: SkewedLoad.allCases)
    func `the last worker of a map ends within 5 percent of the ideal`(_ load: SkewedLoad) throws {
        for workers in [1, 2, 3, 4, 8] {
            for count in [2000, 16_000] {
                // From items of some microseconds to items of some milliseconds.
                for seconds in [0.4, 8] {
                    let total = Int64(seconds * 1e9) * Int64(workers)
                    let items = load.items(count, total: total)
                    let ideal = max(items.reduce(0, +) / Int64(workers), items.max() ?? 0)
                    var pool = SimulatedPool(items: items, workers: workers)
                    let excess = Double(pool.run()) / Double(ideal) - 1
                    #expect(excess < 0.05, "\(count) items for \(workers) workers, \(seconds) s: \(excess * 100) %")
                }
            }
        }
    }
}
