// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
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
    static let workers = 3
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
    private func progress(of worker: Int) -> SharedWord { SharedWord(slot(worker), offset: 4) }

    /// Whether somebody sleeps until the worker gets on.
    private func isWatched(_ worker: Int) -> SharedWord { SharedWord(slot(worker), offset: 8) }

    /// Says that the worker has got on.
    func advance(_ worker: Int) {
        progress(of: worker).add(1)
        if isWatched(worker).load() != 0 { progress(of: worker).wake(1) }
    }

    /// A word for the test's own counts.
    func count(_ index: Int) -> SharedWord { SharedWord(region.base + 4096 + 1024, offset: index * 64) }

    /// Kills `kills` workers at random moments, each replaced by a new one; after every tenth all have to get on.
    ///
    /// - Parameters:
    ///   - victims: Who is killed.
    ///   - body: One operation of a worker; called for ever.
    func run(
        kills: Int,
        victims: Range<Int> = 0..<workers,
        body: @escaping (_ worker: Int, _ chaos: Chaos) throws -> Void
    ) throws {
        // The first half of the workers' lives they watch words before they sleep, the second half they do not.
        for worker in 0..<Self.workers { processes.append(try start(worker, body)) }
        let never = count(15)
        for kill in 1...kills {
            if kill == kills / 2 {
                Spinning.disable()
                for worker in 0..<Self.workers { try replace(worker, body) }
            }
            let victim = Int.random(in: victims, using: &generator)
            let moment = Deadline(nanoseconds: mp_now() + Int64.random(in: 0..<2_000_000, using: &generator))
            while never.wait(while: 0, until: moment) != .timedOut {}
            try replace(victim, body)
            // Every wedge lasts, so not every kill needs its own look.
            guard kill.isMultiple(of: 10) else { continue }
            Laboratory.signOfLife()
            for worker in 0..<Self.workers { try awaitProgress(of: worker, after: victim) }
        }
        for worker in 0..<Self.workers {
            try processes[worker].destroy()
            account(for: worker)
        }
        processes = []
    }

    /// Kills a worker and puts a new one in its place.
    private func replace(_ worker: Int, _ body: (Int, Chaos) throws -> Void) throws {
        try processes[worker].destroy()
        account(for: worker)
        processes[worker] = try start(worker, body)
    }

    /// Counts a kill by the place it happened in.
    private func account(for worker: Int) {
        killed[Place(rawValue: place(of: worker).load()) ?? .outside, default: 0] += 1
        place(of: worker).store(Place.outside.rawValue)
    }

    private func start(_ worker: Int, _ body: (Int, Chaos) throws -> Void) throws -> ForkedProcess {
        try ForkedProcess {
            while true { try body(worker, self) }
        }
    }

    private func awaitProgress(of worker: Int, after victim: Int) throws {
        let before = progress(of: worker).load()
        let deadline = Deadline(timeout: .seconds(10))
        isWatched(worker).store(1)
        defer { isWatched(worker).store(0) }
        while progress(of: worker).load() == before {
            let result = progress(of: worker).wait(while: before, until: deadline)
            try require(result != .timedOut, "worker \(worker) does not get on after \(victim) was killed")
        }
    }

    /// How many workers were killed in `place`.
    func kills(in place: Place) -> Int { killed[place, default: 0] }
}
