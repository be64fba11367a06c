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
    /// In a call that waits for another worker.
    case waiting
    /// In a call that lets others go on.
    case notifying
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

    /// Kills workers until so many were killed in each place, each replaced by a new one; after every tenth kill all have to get on.
    ///
    /// - Parameters:
    ///   - kills: How many are to be killed, and where; more are, in passing, elsewhere.
    ///   - victims: Who is killed.
    ///   - body: One operation of a worker; called for ever.
    ///   - after: Called after each kill, with the place in which that was.
    func run(
        kills: [Place: Int],
        victims: Range<Int> = 0..<workers,
        body: @escaping (_ worker: Int, _ chaos: Chaos) throws -> Void,
        after: (Place) throws -> Void = { _ in }
    ) throws {
        for worker in 0..<Self.workers { processes.append(try start(worker, body)) }
        let total = kills.values.reduce(0, +)
        var done = 0
        while case let open = kills.filter({ killed[$0.key, default: 0] < $0.value }).keys.map(\.rawValue).sorted(),
            let wanted = open.randomElement(using: &generator)
        {
            // The first half of the workers' lives they watch words before they sleep, the second half they do not.
            if done == total / 2 {
                Spinning.disable()
                for worker in 0..<Self.workers { try after(replace(worker, body)) }
            }
            done += 1
            try require(done < 20 * total, "after \(done) kills only \(killed) were where they were to be")
            let victim = Int.random(in: victims, using: &generator)
            awaitPlace(Place(rawValue: wanted), of: victim)
            try after(replace(victim, body))
            // Every wedge lasts, so not every kill needs its own look.
            guard done.isMultiple(of: 10) else { continue }
            Laboratory.signOfLife()
            for worker in 0..<Self.workers { try awaitProgress(of: worker, after: victim) }
        }
        for worker in 0..<Self.workers {
            try processes[worker].destroy()
            try after(account(for: worker))
        }
        processes = []
    }

    /// Waits until the worker is in that place, most often, and a random moment longer.
    private func awaitPlace(_ place: Place?, of worker: Int) {
        // One that is not there in time is killed where it is.
        let deadline = Deadline(timeout: .milliseconds(2))
        while Place(rawValue: self.place(of: worker).load()) != place, !deadline.hasPassed { pause(5_000) }
        pause(Int64.random(in: 0..<100_000, using: &generator))
    }

    /// Sleeps for some nanoseconds, which the kernel makes more of.
    private func pause(_ nanoseconds: Int64) {
        let never = count(15)
        let moment = Deadline(nanoseconds: mp_now() + nanoseconds)
        while never.wait(while: 0, until: moment) != .timedOut {}
    }

    /// Kills a worker and puts a new one in its place.
    private func replace(_ worker: Int, _ body: (Int, Chaos) throws -> Void) throws -> Place {
        try processes[worker].destroy()
        let place = account(for: worker)
        processes[worker] = try start(worker, body)
        return place
    }

    /// Counts a kill by the place it happened in, and returns that.
    private func account(for worker: Int) -> Place {
        let place = Place(rawValue: place(of: worker).load()) ?? .outside
        killed[place, default: 0] += 1
        self.place(of: worker).store(Place.outside.rawValue)
        return place
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
