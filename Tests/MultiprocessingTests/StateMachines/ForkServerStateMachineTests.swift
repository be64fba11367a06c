// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// A server and its clients without any process: who waits is told, whatever happens in between.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ForkServerStateMachineTests {
    /// One who waits.
    private final class Waiter {
        var isTold = false
    }

    private typealias Machine = ForkServerStateMachine<Int, Waiter>

    private func fail(_ comment: Comment) {
        Issue.record(comment)
    }

    /// Starts a server and returns its generation.
    private func startServer(_ machine: inout Machine) throws -> Int {
        let generation = machine.start()
        return try #require(generation)
    }

    private func keep(_ spare: Int, in machine: inout Machine, _ generation: Int) {
        let isKept = machine.ordered(spare, generation: generation)
        #expect(isKept)
    }

    @Test func `the first start makes a server and all wait until it is ready`() {
        var machine = Machine(target: 2)
        guard case .startServer(let first, let generation) = machine.take(waiter: Waiter()) else {
            return fail("no server")
        }
        guard case .wait(let second) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        let ready = machine.ready(generation: generation)
        #expect(ready.waiters.map(ObjectIdentifier.init) == [first, second].map(ObjectIdentifier.init))
        #expect(ready.missing == 2)
        // Their orders are on the way: who comes first orders for himself.
        guard case .order(generation) = machine.take(waiter: Waiter()) else { return fail("not ordered") }
        keep(10, in: &machine, generation)
        keep(11, in: &machine, generation)
        guard case .use(10, generation, 0) = machine.take(waiter: Waiter()) else { return fail("not used") }
    }

    @Test func `a start that was for nothing is taken back unless somebody else has asked for a child`() throws {
        var machine = Machine(target: 2)
        for isReady in [false, true] {
            let first = machine.start(first: true)
            let generation = try #require(first)
            if isReady { _ = machine.ready(generation: generation) }
            let isTakenBack = machine.takeBackStart(generation: generation)
            #expect(isTakenBack && !machine.isRunning)
            // What it still says is not of the next one.
            let late = machine.ready(generation: generation)
            #expect(late.missing == 0 && !machine.isRunning)
        }
        let next = machine.start(first: true)
        let generation = try #require(next)
        guard case .wait = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        let isTakenBack = machine.takeBackStart(generation: generation)
        #expect(!isTakenBack && machine.isRunning)
        let other = machine.takeBackStart(generation: generation - 1)
        #expect(!other && machine.isRunning)
    }

    @Test func `only the first server is started before a child is wanted`() throws {
        var machine = Machine(target: 2)
        let first = machine.start(first: true)
        let generation = try #require(first)
        let again = machine.start(first: true)
        #expect(again == nil)
        guard case .wait(let waiter) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        let ended = machine.ended(generation: generation, forGood: false)
        #expect(ended.waiters.map(ObjectIdentifier.init) == [ObjectIdentifier(waiter)])
        let other = machine.start(first: true)
        #expect(other == nil)
        guard case .startServer = machine.take(waiter: Waiter()) else { return fail("no server") }
    }

    @Test func `a used spare is replaced when a child ends, or when fewer than half are left`() throws {
        var machine = Machine(target: 4)
        let generation = try startServer(&machine)
        let first = machine.ready(generation: generation).missing
        #expect(first == 4)
        for spare in 0..<4 { keep(spare, in: &machine, generation) }
        guard case .use(0, generation, 0) = machine.take(waiter: Waiter()) else { return fail("not used") }
        let missing = machine.childEnded(generation: generation)
        #expect(missing == 1)
        // That one is on its way.
        let none = machine.childEnded(generation: generation)
        #expect(none == 0)
        keep(4, in: &machine, generation)
        guard case .use(1, generation, 0) = machine.take(waiter: Waiter()) else { return fail("not used") }
        guard case .use(2, generation, 0) = machine.take(waiter: Waiter()) else { return fail("not used") }
        guard case .use(3, generation, 3) = machine.take(waiter: Waiter()) else { return fail("not used") }
        _ = machine.ended(generation: generation, forGood: false)
        let late = machine.childEnded(generation: generation)
        #expect(late == 0)
    }

    @Test func `the only spare is replaced at once`() throws {
        var machine = Machine(target: 1)
        let generation = try startServer(&machine)
        _ = machine.ready(generation: generation)
        keep(0, in: &machine, generation)
        guard case .use(0, generation, 1) = machine.take(waiter: Waiter()) else { return fail("not used") }
    }

    @Test func `a server that ends without a child three times is given up`() throws {
        var machine = Machine(target: 0)
        for _ in 1...3 {
            guard case .startServer(let waiter, let generation) = machine.take(waiter: Waiter()) else {
                return fail("no server")
            }
            let ended = machine.ended(generation: generation, forGood: false)
            #expect(ended.waiters.first === waiter)
        }
        guard case .giveUp = machine.take(waiter: Waiter()) else { return fail("not given up") }
        // Once told, the next may try again.
        guard case .startServer(_, let generation) = machine.take(waiter: Waiter()) else { return fail("no server") }
        _ = machine.ready(generation: generation)
        machine.forked(generation: generation)
        _ = machine.ended(generation: generation, forGood: false)
        guard case .startServer = machine.take(waiter: Waiter()) else { return fail("no server") }
    }

    @Test func `what an earlier server still says is of no account`() throws {
        var machine = Machine(target: 1)
        let first = try startServer(&machine)
        let missing = machine.ready(generation: first).missing
        #expect(missing == 1)
        _ = machine.ended(generation: first, forGood: false)
        let second = try startServer(&machine)
        let isKept = machine.ordered(1, generation: first)
        #expect(!isKept)
        let none = machine.ready(generation: first).missing
        #expect(none == 0)
        let waiters = machine.ended(generation: first, forGood: true).waiters
        #expect(waiters.isEmpty)
        let one = machine.ready(generation: second).missing
        #expect(one == 1)
    }

    @Test func `only so many orders are on their way, and each answer lets one more go`() throws {
        var machine = Machine(target: 0)
        let generation = try startServer(&machine)
        _ = machine.ready(generation: generation)
        for _ in 0..<Machine.maximumOutstanding {
            guard case .order = machine.take(waiter: Waiter()) else { return fail("not ordered") }
        }
        guard case .wait(let first) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        guard case .wait(let second) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        let next = machine.answered(generation: generation)
        #expect(next === first)
        // Told, he gives up: the next one goes in his place.
        let another = machine.abandon(first)
        #expect(another === second)
        guard case .order = machine.take(waiter: Waiter()) else { return fail("not ordered") }
    }

    @Test func `who finds the socket full waits for an answer to another order, if there is one`() throws {
        var machine = Machine(target: 0)
        let generation = try startServer(&machine)
        _ = machine.ready(generation: generation)
        // Threads are not held to a number.
        for _ in 0..<2 * Machine.maximumOutstanding {
            guard case .order = machine.take(isBlocking: true, waiter: Waiter()) else { return fail("not ordered") }
        }
        let late = Waiter()
        guard case .order = machine.take(isBlocking: true, waiter: Waiter()) else { return fail("not ordered") }
        let willBeTold = machine.postponed(late, generation: generation)
        #expect(willBeTold)
        let told = machine.answered(generation: generation)
        #expect(told === late)
        for _ in 1..<2 * Machine.maximumOutstanding { _ = machine.answered(generation: generation) }
        guard case .order = machine.take(waiter: Waiter()) else { return fail("not ordered") }
        let waitsAlone = machine.postponed(late, generation: generation)
        #expect(!waitsAlone)
        let isOfOldServer = machine.postponed(late, generation: generation - 1)
        #expect(!isOfOldServer)
    }

    @Test func `spares that are too many are let go of`() throws {
        var machine = Machine(target: 3)
        let generation = try startServer(&machine)
        let missing = machine.ready(generation: generation).missing
        #expect(missing == 3)
        for spare in 0..<3 { keep(spare, in: &machine, generation) }
        let surplus = machine.setTarget(1).surplus
        #expect(surplus == [1, 2])
        let more = machine.setTarget(2).missing
        #expect(more == 1)
        let rest = machine.setTarget(0).surplus
        #expect(rest == [0])
        // One that was on its way meanwhile is too many as well.
        let isKept = machine.ordered(3, generation: generation)
        #expect(!isKept)
    }

    @Test func `who takes a spare lets the next one go, since he orders nothing that would be answered`() throws {
        var machine = Machine(target: 1)
        let generation = try startServer(&machine)
        _ = machine.ready(generation: generation)
        for _ in 0..<Machine.maximumOutstanding {
            guard case .order = machine.take(waiter: Waiter()) else { return fail("not ordered") }
        }
        guard case .wait(let first) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        guard case .wait(let second) = machine.take(waiter: Waiter()) else { return fail("did not wait") }
        keep(5, in: &machine, generation)
        let told = machine.answered(generation: generation)
        #expect(told === first)
        guard case .use(5, generation, _) = machine.take(waiter: Waiter()) else { return fail("not used") }
        let next = machine.used(generation: generation)
        #expect(next === second)
        let nobody = machine.used(generation: generation)
        #expect(nobody == nil)
    }

    @Test func `at any order of events nobody waits who could go on`() {
        var random = Seeded(seed: 11)
        for _ in 0..<300 {
            var world = World(target: Int.random(in: 0...3, using: &random))
            for _ in 0..<200 {
                world.step(&random)
                // Each who waits will be told: by the server when it is ready, by an answer to an order, or by who uses a spare.
                let somebodyTells = world.outstanding > 0 || world.used > 0 || !world.told.isEmpty
                #expect(world.waiting.isEmpty || (world.generation != nil && (!world.isReady || somebodyTells)))
            }
        }
    }

    /// A program whose threads and tasks start children at random.
    private struct World {
        private var machine: Machine
        private(set) var generation: Int?
        private(set) var isReady = false
        /// Who waits, and who was told to ask again and has not done so.
        private(set) var waiting: [Waiter] = []
        private(set) var told: [Waiter] = []
        /// Orders without an answer.
        private(set) var outstanding = 0
        /// Spares whose users have not said so.
        private(set) var used = 0

        init(target: Int) {
            machine = Machine(target: target)
        }

        private mutating func tell(_ waiters: [Waiter]) {
            for waiter in waiters {
                #expect(waiting.contains { $0 === waiter })
                waiting.removeAll { $0 === waiter }
                told.append(waiter)
            }
        }

        mutating func step(_ random: inout Seeded) {
            switch Int.random(in: 0..<14, using: &random) {
            case 0..<4: take(&random)
            case 4..<6:
                guard !told.isEmpty else { break }
                told.removeFirst()
                take(&random)
            case 6..<8:
                guard let current = generation, !isReady else { break }
                isReady = true
                let ready = machine.ready(generation: current)
                tell(ready.waiters)
                for spare in 0..<ready.missing { _ = machine.ordered(spare, generation: current) }
            case 8..<10:
                guard let current = generation, isReady, outstanding > 0 else { break }
                outstanding -= 1
                machine.forked(generation: current)
                if let next = machine.answered(generation: current) { tell([next]) }
            case 10:
                guard let current = generation, used > 0 else { break }
                used -= 1
                if let next = machine.used(generation: current) { tell([next]) }
            case 11: abandon(&random)
            case 12: _ = machine.setTarget(Int.random(in: 0...3, using: &random))
            default:
                guard let current = generation else { break }
                tell(machine.ended(generation: current, forGood: Bool.random(using: &random)).waiters)
                (generation, isReady) = (nil, false)
                #expect(waiting.isEmpty)
            }
        }

        private mutating func take(_ random: inout Seeded) {
            let isBlocking = Bool.random(using: &random)
            switch machine.take(isBlocking: isBlocking, waiter: Waiter()) {
            case .use(_, let current, let missing):
                #expect(current == generation && isReady)
                used += 1
                for spare in 0..<missing { _ = machine.ordered(spare, generation: current) }
            case .order(let current):
                #expect(current == generation && isReady)
                let waiter = Waiter()
                let isFull = Int.random(in: 0..<4, using: &random) == 0
                if isFull, machine.postponed(waiter, generation: current) {
                    waiting.append(waiter)
                } else {
                    outstanding += 1
                }
                #expect(isBlocking || outstanding <= Machine.maximumOutstanding)
            case .wait(let waiter): waiting.append(waiter)
            case .startServer(let waiter, let new):
                #expect(generation == nil)
                (generation, isReady, outstanding, used) = (new, false, 0, 0)
                waiting.append(waiter)
            case .giveUp: #expect(generation == nil)
            }
        }

        /// One who waits, or was told, gives up.
        private mutating func abandon(_ random: inout Seeded) {
            guard let waiter = (waiting + told).randomElement(using: &random) else { return }
            waiting.removeAll { $0 === waiter }
            told.removeAll { $0 === waiter }
            if let next = machine.abandon(waiter) { tell([next]) }
        }
    }
}
