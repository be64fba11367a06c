// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives

/// Where a worker is, as it says in shared memory.
package enum Place: UInt32, Codable, Sendable {
    /// Between two operations.
    case outside
    /// In a call that waits, or would if it had to.
    case waiting
    /// Sure to hold what it asked for.
    case inside
    /// In a call that lets others go on.
    case notifying
    /// In a call of which nobody can say whether it took effect.
    case between
}

/// Workers that use a primitive again and again: victims, which are killed at random moments, some at a time, and witnesses, which have to get on all the same.
///
/// Used in a laboratory. Each victim is told before it starts where it is to be killed. When it comes there it sets a timer with which the kernel sends it SIGKILL, wherever it is then.
package final class Chaos {
    private let region: MemoryRegion
    private let victims: Int
    private let witnesses: Int
    private var generator: SeededGenerator

    /// The witnesses' processes.
    private var processes: [ForkedProcess] = []

    /// How many victims were killed in each place.
    private var killed: [Place: Int] = [:]

    /// Makes the memory; there are no workers yet.
    ///
    /// - Parameters:
    ///   - victims: How many are killed at a time; they are the workers with the lowest numbers.
    ///   - witnesses: How many are not; they are the workers after those.
    package init(seed: UInt64, victims: Int = 8, witnesses: Int = 2) throws {
        region = try MemoryRegion(size: 16384, name: "mp-test")
        generator = SeededGenerator(seed: seed)
        self.victims = victims
        self.witnesses = witnesses
    }

    // MARK: - Memory

    /// Memory for primitives, a page of zeros at first.
    package var base: UnsafeMutableRawPointer { region.base }

    /// A word for the test's own counts.
    package func count(_ index: Int) -> SharedWord { SharedWord(region.base + 8192, offset: index * 64) }

    /// One of a worker's words: where it is, how much it has done, whether somebody sleeps until it gets on, and where it is to be killed, how many times it has to come there
    /// first, and how many nanoseconds later that is.
    private func word(_ index: Int, of worker: Int) -> SharedWord {
        SharedWord(region.base + 12288 + worker * 64, offset: index * 4)
    }

    private func place(of worker: Int) -> SharedWord { word(0, of: worker) }
    private func progress(of worker: Int) -> SharedWord { word(1, of: worker) }
    private func isWatched(_ worker: Int) -> SharedWord { word(2, of: worker) }
    private func order(for worker: Int) -> (place: SharedWord, times: SharedWord, delay: SharedWord) {
        (word(3, of: worker), word(4, of: worker), word(5, of: worker))
    }

    // MARK: - For workers

    /// Says that the worker is at `place` from now on. If it is to be killed there, the kernel does so a moment later.
    package func enter(_ place: Place, _ worker: Int) throws {
        self.place(of: worker).store(place.rawValue)
        guard worker < victims, place != .outside else { return }
        let order = order(for: worker)
        guard order.place.load() == place.rawValue, order.times.add(.max) == 0 else { return }
        try killThisProcess(after: Int(order.delay.load()))
    }

    /// Says that the worker has got on.
    package func advance(_ worker: Int) {
        progress(of: worker).add(1)
        if isWatched(worker).load() != 0 { progress(of: worker).wake(1) }
    }

    // MARK: - For tests

    /// Kills victims at random moments until so many were killed in each place. After each round the witnesses have to get on.
    ///
    /// - Parameters:
    ///   - kills: How many are to be killed, and where; some more are, in passing, elsewhere.
    ///   - areWitnessesAlone: Whether witnesses get on when there are no victims.
    ///   - body: One operation of a worker; called for ever.
    ///   - after: Called after each round, when all of its victims are dead and the witnesses have got on, with where each was killed; once with where the witnesses were, who are replaced.
    package func run(
        kills: [Place: Int],
        areWitnessesAlone: Bool = true,
        body: @escaping (_ worker: Int, _ chaos: Chaos) throws -> Void,
        after: ([Place]) throws -> Void = { _ in }
    ) throws {
        let total = kills.values.reduce(0, +)
        for round in 0... {
            let open = kills.filter { self.kills(in: $0.key) < $0.value }.keys.map(\.rawValue).sorted()
            guard let place = open.randomElement(using: &generator) else { break }
            try require(round * victims < 20 * total, "only \(killed) were killed where they were to be")
            // In the first rounds all watch words before they sleep, in the others they do not.
            if round == 0 { try startWitnesses(body) }
            if round == max(1, total / victims / 2) {
                Spinning.disable()
                let places = try endWitnesses()
                try startWitnesses(body)
                try after(places)
            }
            Laboratory.signOfLife()
            let places = try killVictims(in: place, body)
            // Before anything else is done, which might wake whoever the dead should have woken.
            if areWitnessesAlone { for witness in victims..<victims + witnesses { try awaitProgress(of: witness) } }
            try after(places)
        }
        _ = try endWitnesses()
        // The others had gone on when the signal came.
        let hits = kills.keys.reduce(0) { $0 + self.kills(in: $1) }
        try require(2 * hits > killed.values.reduce(0, +), "too few were killed where they were to be: \(killed)")
    }

    /// How many victims were killed in `place`.
    package func kills(in place: Place) -> Int { killed[place, default: 0] }

    /// Waits until the worker, which lives, has got on.
    package func awaitProgress(of worker: Int) throws {
        let before = progress(of: worker).load()
        let deadline = Deadline(timeout: .seconds(40))
        isWatched(worker).store(1)
        defer { isWatched(worker).store(0) }
        while progress(of: worker).load() == before {
            let result = progress(of: worker).wait(while: before, until: deadline)
            try require(result != .timedOut, "worker \(worker) does not get on after others were killed")
        }
    }

    // MARK: - A round

    /// Starts victims that are to be killed at `place`, waits for their deaths, and returns where each was.
    private func killVictims(in place: UInt32, _ body: (Int, Chaos) throws -> Void) throws -> [Place] {
        var processes: [ForkedProcess] = []
        for victim in 0..<victims {
            let order = order(for: victim)
            order.place.store(place)
            order.times.store(UInt32.random(in: 1...3, using: &generator))
            // As often within the first microsecond as between the 32nd and the 64th.
            let longest = UInt32(1000) << UInt32.random(in: 0...6, using: &generator)
            order.delay.store(UInt32.random(in: 0..<longest, using: &generator))
            processes.append(try start(victim, body))
        }
        return try processes.enumerated().map { victim, process in
            try require(try process.join() == SIGKILL, "worker \(victim) failed before it was killed")
            return account(for: victim)
        }
    }

    /// Counts a death by the place it happened in, and returns that.
    private func account(for worker: Int) -> Place {
        let place = Place(rawValue: place(of: worker).load()) ?? .outside
        killed[place, default: 0] += 1
        return place
    }

    private func startWitnesses(_ body: (Int, Chaos) throws -> Void) throws {
        for witness in victims..<victims + witnesses { processes.append(try start(witness, body)) }
    }

    /// Kills the witnesses, and returns where each was.
    private func endWitnesses() throws -> [Place] {
        defer { processes = [] }
        return try processes.enumerated().map { index, process in
            try process.destroy()
            return account(for: victims + index)
        }
    }

    private func start(_ worker: Int, _ body: (Int, Chaos) throws -> Void) throws -> ForkedProcess {
        try ForkedProcess {
            while true { try body(worker, self) }
        }
    }
}

/// Has the kernel send SIGKILL to this process in so many nanoseconds, wherever it is then.
private func killThisProcess(after nanoseconds: Int) throws {
    var event = sigevent()
    event.sigev_notify = Int32(SIGEV_SIGNAL)
    event.sigev_signo = SIGKILL
    var timer: timer_t?
    guard timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 else { throw SystemError("making a timer") }
    // 0 would be never.
    var time = itimerspec()
    time.it_value.tv_nsec = nanoseconds + 1
    guard timer_settime(timer, 0, &time, nil) == 0 else { throw SystemError("setting a timer") }
}
