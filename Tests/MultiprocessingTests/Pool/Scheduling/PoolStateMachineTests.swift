// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// What a pool does next, without any process: in every order in which things can happen, each piece is settled once and each job ends once.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolStateMachineTests {
    private typealias Machine = PoolWorld.Machine
    private typealias Rules = Machine.Rules

    /// Everything that the engine and the user can do in a world.
    private func events(
        in world: PoolWorld,
        ending: Bool,
        suspecting: Bool = true,
        splitting: Bool = false
    ) -> [PoolWorld.Event] {
        var events: [PoolWorld.Event] = [.next(parallelism: 1), .stale]
        for (index, attempt) in world.attempts.enumerated() {
            let rules = world.rules[attempt.job]
            events += [.finished(attempt: index, threw: false), .lost(attempt: index, .begun)]
            events += [.finished(attempt: index, threw: true), .lost(attempt: index, .none)]
            if suspecting { events.append(.lost(attempt: index, .suspected)) }
            if rules.isElementwise {
                events.append(.answered(attempt: index, threw: false))
                if rules.retriesErrors { events.append(.answered(attempt: index, threw: true)) }
            }
        }
        if ending { events += world.living.map { .end(job: $0) } }
        if splitting { events += world.living.filter { !world.jobs[$0].isSingle }.map { .handOutSingly(job: $0) } }
        return events
    }

    /// Goes every way from `start`, and returns how many different worlds there are.
    private func explore(
        _ start: PoolWorld,
        atOnce: Int,
        ending: Bool = true,
        suspecting: Bool = false,
        splitting: Bool = false
    ) throws -> Int {
        var known: Set = [start.appearance]
        var open = [start]
        while let world = open.popLast() {
            for event in events(in: world, ending: ending, suspecting: suspecting, splitting: splitting) {
                if case .next = event, world.attempts.count >= atOnce { continue }
                var next = world
                try next.happen(event)
                if known.insert(next.appearance).inserted { open.append(next) }
            }
        }
        return known.count
    }

    /// A world with all pieces there.
    private func world(_ jobs: [(Rules, pieces: Int)]) throws -> PoolWorld {
        var world = PoolWorld(jobs.map(\.0))
        for (index, job) in jobs.enumerated() {
            try world.happen(.add(job: index, pieces: job.pieces, isLast: true))
        }
        return world
    }

    // MARK: - All orders

    @Test func `calls are settled once in every order of events`() throws {
        let count = try explore(try world([(Rules(), 1), (Rules(retries: 1), 1)]), atOnce: 2, suspecting: true)
        #expect(count > 50)
    }

    @Test func `pieces of a map are settled once in every order of events`() throws {
        let count = try explore(try world([(Rules(retries: 1, mostPieces: 2), 4)]), atOnce: 2, ending: false)
        #expect(count > 50)
    }

    @Test func `elements that are answered one by one are settled once in every order of events`() throws {
        let rules = Rules(retries: 1, retriesErrors: true, isElementwise: true)
        #expect(try explore(try world([(rules, 3)]), atOnce: 2) > 50)
        #expect(try explore(try world([(rules, 2)]), atOnce: 2, suspecting: true) > 50)
    }

    @Test func `chunks of the size that the user chose are settled once in every order of events`() throws {
        let together = Rules(retries: 1, mostPieces: 2, isExact: true)
        #expect(try explore(try world([(together, 3)]), atOnce: 2, ending: false, splitting: true) > 50)
        #expect(try explore(try world([(together, 2)]), atOnce: 2, ending: false, suspecting: true) > 20)
        let oneByOne = Rules(retries: 1, retriesErrors: true, mostPieces: 2, isExact: true, isElementwise: true)
        #expect(try explore(try world([(oneByOne, 3)]), atOnce: 2, ending: false) > 50)
        #expect(try explore(try world([(oneByOne, 2)]), atOnce: 2, ending: false, suspecting: true) > 50)
    }

    @Test func `pieces that are to be handed out one by one are settled once in every order of events`() throws {
        #expect(try explore(try world([(Rules(retries: 1), 3)]), atOnce: 2, ending: false, splitting: true) > 50)
        let two = [(Rules(retries: 1), pieces: 1), (Rules(), pieces: 1)]
        #expect(try explore(try world(two), atOnce: 2, suspecting: true, splitting: true) > 50)
    }

    @Test func `jobs of a higher priority go first in every order of events`() throws {
        let count = try explore(try world([(Rules(), 1), (Rules(priority: 1, retries: 1), 2)]), atOnce: 2)
        #expect(count > 50)
    }

    // MARK: - At random

    @Test(arguments: 0..<10) func `many jobs at random agree with the model`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        for _ in 0..<10 {
            var world = PoolWorld((0..<6).map { _ in rules(&random) })
            for _ in 0..<300 { try world.happen(event(in: world, &random)) }
            // Whatever has happened: with all pieces there and an engine that answers, everything ends.
            for job in world.living where !world.jobs[job].isComplete {
                try world.happen(.add(job: job, pieces: 0, isLast: true))
            }
            while !world.living.isEmpty || !world.attempts.isEmpty {
                if world.machine.waiting > 0 { try world.happen(.next(parallelism: 3)) }
                if !world.attempts.isEmpty { try world.happen(.finished(attempt: 0, threw: false)) }
            }
            try world.happen(.stale)
        }
    }

    private func rules(_ random: inout Seeded) -> Rules {
        Rules(
            priority: Int.random(in: -1...1, using: &random),
            retries: Int.random(in: 0...2, using: &random),
            retriesErrors: Bool.random(using: &random),
            mostPieces: [1, 3, .max].randomElement(using: &random) ?? 1,
            isExact: Bool.random(using: &random),
            isElementwise: Bool.random(using: &random)
        )
    }

    private func event(in world: PoolWorld, _ random: inout Seeded) -> PoolWorld.Event {
        let chance = Int.random(in: 0..<100, using: &random)
        if chance < 20, let job = world.living.filter({ !world.jobs[$0].isComplete }).randomElement(using: &random) {
            let isLast = Int.random(in: 0..<8, using: &random) == 0
            return .add(job: job, pieces: Int.random(in: 0...20, using: &random), isLast: isLast)
        }
        if chance < 22, let job = world.jobs.indices.randomElement(using: &random) { return .end(job: job) }
        if chance < 23, let job = world.jobs.indices.randomElement(using: &random) { return .handOutSingly(job: job) }
        if chance < 55 || world.attempts.isEmpty { return .next(parallelism: Int.random(in: 1...4, using: &random)) }
        return events(in: world, ending: false).dropFirst().randomElement(using: &random) ?? .stale
    }

    // MARK: - Sizes and order

    @Test func `short pieces are handed out together, and fewer of them towards the end`() throws {
        var machine = Machine()
        let job = machine.add(Rules())
        _ = machine.addPieces(1000, to: job, isLast: true)
        var sizes: [Int] = []
        while let next = machine.next(parallelism: 4) {
            sizes.append(next.pieces.count)
            _ = machine.finished(next.attempt, threw: false, nanoseconds: Int64(next.pieces.count) * 1000)
        }
        #expect(sizes.reduce(0, +) == 1000)
        #expect(sizes.first == 1)
        #expect(sizes.last == 1)
        // More and more as it becomes known how long they take, then ever fewer.
        let peak = sizes.firstIndex(of: sizes.max() ?? 0) ?? 0
        #expect(sizes[peak] > 50)
        #expect(sizes[...peak] == sizes[...peak].sorted()[...])
        #expect(sizes[peak...] == sizes[peak...].sorted(by: >)[...])
        #expect(sizes.count < 100)
    }

    @Test func `what the first pieces took does not make many others go to one worker`() throws {
        var machine = Machine()
        let job = machine.add(Rules())
        _ = machine.addPieces(1000, to: job, isLast: true)
        let next = machine.next(parallelism: 2)
        let first = try #require(next)
        _ = machine.finished(first.attempt, threw: false, nanoseconds: 1)
        #expect(machine.next(parallelism: 2)?.pieces.count == 1)
    }

    @Test func `pieces that take long are handed out one by one`() throws {
        var machine = Machine()
        let job = machine.add(Rules())
        _ = machine.addPieces(100, to: job, isLast: true)
        while let next = machine.next(parallelism: 2) {
            #expect(next.pieces.count == 1)
            _ = machine.finished(next.attempt, threw: false, nanoseconds: 10_000_000)
        }
    }

    @Test func `an infinite time for a piece, or none at all, does no harm`() throws {
        for nanoseconds in [Int64.min, -1, 0, 1, .max] {
            var machine = Machine()
            let job = machine.add(Rules())
            _ = machine.addPieces(100, to: job, isLast: true)
            var count = 0
            while let next = machine.next(parallelism: 0) {
                count += next.pieces.count
                _ = machine.finished(next.attempt, threw: false, nanoseconds: nanoseconds)
            }
            #expect(count == 100)
        }
    }

    @Test func `jobs of one priority take their turn in the order they came, and what came back goes first`() throws {
        var machine = Machine()
        let jobs = (0..<3).map { _ in machine.add(Rules()) }
        for job in jobs { _ = machine.addPieces(1, to: job, isLast: true) }
        let assignment = machine.next(parallelism: 1)
        let first = try #require(assignment)
        #expect(first.job == jobs[0])
        _ = machine.lost(first.attempt, .none)
        var order: [Machine.JobID] = []
        while let next = machine.next(parallelism: 1) { order.append(next.job) }
        #expect(order == jobs)
    }

    @Test func `a piece that is next in line at worker after worker that dies is failed in the end`() throws {
        var machine = Machine()
        let job = machine.add(Rules())
        _ = machine.addPieces(1, to: job, isLast: true)
        var tries = 0
        while let next = machine.next(parallelism: 1) {
            tries += 1
            guard case .deliver(job, 0..<1, jobEnded: true) = machine.lost(next.attempt, .suspected) else { continue }
        }
        #expect(tries == Machine.mostSuspicions + 1)
        #expect(machine.jobs.count == 0)
    }
}
