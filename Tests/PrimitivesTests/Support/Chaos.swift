// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import MultiprocessingPrimitives

/// Where a worker is, as it says in shared memory.
enum Place: UInt32 {
    /// Between two operations.
    case outside
    /// In a call of the primitive: whether it took effect cannot be said.
    case between
    /// Sure to hold what it asked for.
    case inside
}

/// Workers that use a primitive again and again, and are killed at random moments one after another.
///
/// Used in a laboratory. `base` is the primitive's memory, zero at first; the workers' own words lie behind it.
final class Chaos {
    static let workers = 4
    let region: MemoryRegion
    var base: UnsafeMutableRawPointer { region.base }
    private var processes: [ForkedProcess] = []
    private var generator: SeededGenerator

    /// How many workers were killed in each place.
    private(set) var killed: [Place: Int] = [:]

    init(seed: UInt64) throws {
        region = try MemoryRegion(size: 8192, name: "mp-test")
        generator = SeededGenerator(seed: seed)
    }

    private func slot(_ worker: Int) -> UnsafeMutableRawPointer { region.base + 4096 + worker * 64 }

    /// Where the worker is.
    func place(of worker: Int) -> SharedWord { SharedWord(slot(worker), offset: 0) }

    /// How much the worker has done.
    func progress(of worker: Int) -> SharedWord { SharedWord(slot(worker), offset: 4) }

    /// A word for the test's own counts.
    func count(_ index: Int) -> SharedWord { SharedWord(region.base + 4096 + 1024, offset: index * 64) }

    /// Kills `kills` workers at random moments, each replaced by a new one; after each kill every other worker that is not excused has to get on.
    ///
    /// - Parameters:
    ///   - mustProgress: The workers that count.
    ///   - onKill: Called after each kill, with the worker and where it was.
    ///   - body: One operation of a worker; called for ever.
    func run(
        kills: Int,
        mustProgress: [Int] = Array(0..<workers),
        onKill: (Int, Place) throws -> Void = { _, _ in },
        body: @escaping (_ worker: Int, _ chaos: Chaos) throws -> Void
    ) throws {
        for worker in 0..<Self.workers { processes.append(try start(worker, body)) }
        for _ in 0..<kills {
            let victim = Int.random(in: 0..<Self.workers, using: &generator)
            let moment = mp_now() + Int64.random(in: 0..<400_000, using: &generator)
            while mp_now() < moment { sched_yield() }
            try processes[victim].destroy()
            let where_ = Place(rawValue: place(of: victim).load()) ?? .outside
            killed[where_, default: 0] += 1
            try onKill(victim, where_)
            place(of: victim).store(Place.outside.rawValue)
            processes[victim] = try start(victim, body)
            try awaitProgress(of: mustProgress, after: victim)
        }
        for process in processes { try process.destroy() }
        for worker in 0..<Self.workers {
            let where_ = Place(rawValue: place(of: worker).load()) ?? .outside
            killed[where_, default: 0] += 1
            try onKill(worker, where_)
        }
        processes = []
    }

    private func start(_ worker: Int, _ body: (Int, Chaos) throws -> Void) throws -> ForkedProcess {
        try ForkedProcess { while true { try body(worker, self) } }
    }

    private func awaitProgress(of workers: [Int], after victim: Int) throws {
        let before = workers.map { progress(of: $0).load() }
        for (worker, count) in zip(workers, before) {
            try waitFor("worker \(worker) to get on after \(victim) was killed") { progress(of: worker).load() != count }
        }
    }

    /// How many workers were killed in `place`.
    func kills(in place: Place) -> Int { killed[place, default: 0] }
}
