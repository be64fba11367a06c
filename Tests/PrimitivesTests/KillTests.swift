// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    /// SIGKILL at random moments, 1,000 times in each place: with a lock, waiting for each primitive, letting others go on.
    @Suite struct KillTests {
        static let kills = 1000

        @Test(.timeLimit(.minutes(30)))
        func `a lock survives the kill of its holders and waiters, and each death with it is learnt once`() async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 1)
                let data = GuardedData(chaos)
                try chaos.run(kills: [.inside: Self.kills, .waiting: Self.kills]) { worker, chaos in
                    try chaos.enter(.waiting, worker)
                    try data.enter()
                    try chaos.enter(.inside, worker)
                    data.change()
                    chaos.advance(worker)
                    try chaos.enter(.between, worker)
                    try data.leave()
                    try chaos.enter(.outside, worker)
                } after: { deaths in
                    try data.check(deaths)
                }
            }
        }

        /// Two who live have the lock in turn, each for some time. Neither takes it a second time before the other one has had it, whom nobody would wake if it died with whoever was woken.
        @Test(.timeLimit(.minutes(30)))
        func `a lock that is held most of the time survives the kill of those who wait for it`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 11, victims: 1)
                let data = GuardedData(chaos)
                /// Whose turn it is: odd, worker 1's, even, worker 2's.
                let turn = chaos.count(4)
                try chaos.run(kills: [.waiting: Self.kills]) { worker, chaos in
                    while worker > 0, case let seen = turn.load(), Int(seen % 2) != worker % 2 {
                        _ = turn.wait(while: seen, until: .never)
                    }
                    try chaos.enter(.waiting, worker)
                    try data.enter()
                    try chaos.enter(.inside, worker)
                    if worker > 0 {
                        for _ in 0..<4 { data.change() }
                        // From here on the other one waits for the lock as well, most often behind the victim.
                        turn.add(1)
                        turn.wake(1)
                        for _ in 0..<4 { data.change() }
                        chaos.advance(worker)
                    }
                    try chaos.enter(.between, worker)
                    try data.leave()
                    try chaos.enter(.outside, worker)
                } after: { deaths in
                    try data.check(deaths)
                }
            }
        }

        @Test(.timeLimit(.minutes(30)))
        func `a lock that tasks hold survives the kill of their process, and each death with it is learnt once`()
            async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 12)
                let data = GuardedData(chaos)
                try chaos.run(kills: [.inside: Self.kills]) { worker, chaos in
                    let holder = worker == 9 ? LockHolder.thread : .task(UInt64(worker + 1))
                    try chaos.enter(.waiting, worker)
                    try data.enter(for: holder)
                    try chaos.enter(.inside, worker)
                    data.change()
                    try chaos.enter(.between, worker)
                    try data.leave(by: holder)
                    try chaos.enter(.outside, worker)
                    chaos.advance(worker)
                } after: { deaths in
                    try data.check(deaths)
                }
            }
        }

        @Test(.timeLimit(.minutes(30)), arguments: [Place.notifying, .waiting])
        func `a semaphore survives the kill of its givers and takers, and every permit is accounted for`(
            _ place: Place
        ) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .waiting ? 21 : 22)
                SemaphoreState(chaos.base).initialize(value: 0, maximum: UInt32(Int32.max))
                let isGiver = { (worker: Int) in place == .waiting ? worker == 9 : worker != 8 }
                try chaos.run(kills: [place: Self.kills]) { worker, chaos in
                    let semaphore = SemaphoreState(chaos.base)
                    if isGiver(worker) {
                        // Takers outnumbered by permits would never wait: giving stops while there are some.
                        while semaphore.value > 3 { sched_yield() }
                        for _ in 0..<4 {
                            try chaos.enter(.notifying, worker)
                            _ = semaphore.release()
                            chaos.count(0).add(1)
                        }
                    } else {
                        try chaos.enter(.waiting, worker)
                        try require(semaphore.acquire(until: .never) == .acquired, "not acquired")
                        chaos.count(1).add(1)
                    }
                    try chaos.enter(.outside, worker)
                    chaos.advance(worker)
                }
                let given = Int(chaos.count(0).load())
                let rest = Int(chaos.count(1).load()) + Int(SemaphoreState(chaos.base).value)
                // Who was killed has given or taken one at most that is not counted.
                let possible = -chaos.kills(in: .waiting)...chaos.kills(in: .notifying)
                try require(
                    possible.contains(rest - given),
                    "\(given) given, \(rest) taken or left: not in \(possible)"
                )
            }
        }

        @Test(.timeLimit(.minutes(30)))
        func `an event survives the kill of those who wait for it`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 31)
                let event = EventState(chaos.base)
                try chaos.run(kills: [.waiting: Self.kills]) { worker, chaos in
                    if worker == 9 {
                        event.clear()
                        // From no time at all to enough for all to fall asleep.
                        for _ in 0..<chaos.count(0).add(37) % 600 { mp_pause() }
                        event.set()
                    } else {
                        try chaos.enter(.waiting, worker)
                        try require(event.wait(until: .never) == .acquired, "not released")
                        try chaos.enter(.outside, worker)
                    }
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(30)))
        func `whoever sets an event is killed before, or everybody is released`() async throws {
            try await Laboratory.run {
                // Each has an event of its own, with one who waits for it and clears it.
                let pairs = 8
                let chaos = try Chaos(seed: 32, victims: pairs, witnesses: pairs)
                let events = (0..<pairs).map { EventState(chaos.base + $0 * EventState.size) }
                /// How many times somebody who lived on set one, and how many times one was cleared.
                let (set, cleared) = (chaos.count(0), chaos.count(1))
                try chaos.run(kills: [.notifying: Self.kills], areWitnessesAlone: false) { worker, chaos in
                    let event = events[worker % pairs]
                    if worker < pairs {
                        // From no time at all to enough for the other one to fall asleep.
                        for _ in 0..<chaos.count(2 + worker).add(37) % 600 { mp_pause() }
                        try chaos.enter(.notifying, worker)
                        event.set()
                        for _ in 0..<chaos.count(2 + worker).add(37) % 300 { mp_pause() }
                        set.add(1)
                        try chaos.enter(.outside, worker)
                        while event.isSet { sched_yield() }
                    } else {
                        try require(event.wait(until: .never) == .acquired, "not released")
                        cleared.add(1)
                        event.clear()
                    }
                } after: { _ in
                    for event in events {
                        try waitFor("the one who waits was released") { !event.isSet }
                        event.set()
                        set.add(1)
                    }
                    for event in events { try waitFor("the one who waits is there") { !event.isSet } }
                }
                let tookEffect = Int(cleared.load() &- set.load())
                let hadNone = chaos.kills(in: .notifying) - tookEffect
                try require(tookEffect > 10 && hadNone > 10, "\(tookEffect) with the event set, \(hadNone) before")
            }
        }

        @Test(.timeLimit(.minutes(30)), arguments: [Place.notifying, .waiting])
        func `a condition survives the kill of its notifiers and of its waiters`(_ place: Place) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .waiting ? 41 : 42)
                let isNotifier = { (worker: Int) in place == .waiting ? worker == 9 : worker != 8 }
                let data = GuardedData(chaos)
                try chaos.run(kills: [place: Self.kills]) { worker, chaos in
                    let condition = ConditionState(chaos.base + 64, lock: data.lock)
                    try chaos.enter(.between, worker)
                    try data.enter()
                    if isNotifier(worker) {
                        try chaos.enter(.notifying, worker)
                        for count in 1...3 {
                            if data.items.load() < 3 { data.items.add(1) }
                            if data.items.load() == 2 { condition.notifyAll() } else { condition.notify(1) }
                            for _ in 0..<20 * count { mp_pause() }
                        }
                        try chaos.enter(.between, worker)
                    } else {
                        try chaos.enter(.waiting, worker)
                        try data.waitForItem(condition)
                        try chaos.enter(.between, worker)
                        data.items.add(UInt32.max)
                    }
                    try data.leave()
                    try chaos.enter(.outside, worker)
                    chaos.advance(worker)
                } after: { deaths in
                    // Who notifies has the lock.
                    try data.check(deaths.map { $0 == .notifying ? .inside : $0 == .outside ? .outside : .between })
                }
            }
        }

        @Test(.timeLimit(.minutes(30)), arguments: zip([Place.waiting, .waiting, .inside], [false, true, true]))
        func `a barrier survives the kill of its parties, while they wait, arrive, run the action and release`(
            _ place: Place,
            hasAction: Bool
        ) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .inside ? 52 : hasAction ? 51 : 53, witnesses: 3)
                let parties: UInt32 = 3
                BarrierState(chaos.base).initialize(parties: parties)
                /// How many actions have begun, and how many are done.
                let (begun, done) = (chaos.count(0), chaos.count(1))
                try chaos.run(kills: [place: Self.kills]) { worker, chaos in
                    let barrier = BarrierState(chaos.base)
                    let before = done.load()
                    try chaos.enter(.waiting, worker)
                    let action = {
                        try chaos.enter(.inside, worker)
                        begun.add(1)
                        for _ in 0..<300 { mp_pause() }
                        done.add(1)
                    }
                    let outcome = try barrier.wait(until: .never, action: hasAction ? action : nil)
                    try chaos.enter(.between, worker)
                    if case .passed = outcome {
                        try require(!hasAction || done.load() != before, "passed, though the action was not done")
                        chaos.advance(worker)
                    } else if barrier.enter() {
                        if barrier.isBroken { barrier.reset() }
                        barrier.leave()
                    }
                    try chaos.enter(.outside, worker)
                }
                guard place == .inside else { return }
                let cut = Int(begun.load() - done.load())
                let released = chaos.kills(in: .inside) - cut
                try require(cut > 10 && released > 10, "\(cut) were killed in the action, \(released) afterwards")
            }
        }
    }
}

/// Two halves that only a kill can leave apart, with a lock around them.
private final class GuardedData {
    let lock: RobustLock
    private let chaos: Chaos

    /// How many deaths were learnt of before the last round.
    private var learntBefore: UInt32 = 0

    init(_ chaos: Chaos) {
        self.chaos = chaos
        lock = RobustLock(chaos.base)
    }

    /// How many deaths with the lock were learnt of.
    private var learnt: SharedWord { chaos.count(0) }

    /// What there is to take for who waits.
    var items: SharedWord { chaos.count(3) }

    /// Acquires the lock; after a death with it mends the halves, otherwise they are whole.
    func enter(for holder: LockHolder = .thread) throws {
        let outcome = try lock.acquire(for: holder, until: Deadline(timeout: .seconds(60)))
        if case .ownerDied = outcome {
            learnt.add(1)
            chaos.count(2).store(chaos.count(1).load())
        } else {
            try require(outcome == .acquired, "not acquired: \(outcome)")
        }
        try require(chaos.count(1).load() == chaos.count(2).load(), "half a change, and nobody was told")
    }

    /// Changes one half after the other.
    func change() {
        let first = chaos.count(1).add(1)
        for _ in 0..<100 { mp_pause() }
        chaos.count(2).store(first)
    }

    /// Releases the lock.
    func leave(by holder: LockHolder = .thread) throws {
        try require(lock.release(by: holder), "the lock was not held")
    }

    /// Waits, with the lock held, until there is an item.
    func waitForItem(_ condition: ConditionState) throws {
        while items.load() == 0 {
            var wait = condition.begin()
            repeat {
                try leave()
                _ = condition.sleep(wait, until: .never)
                try enter()
            } while !condition.finish(&wait)
        }
    }

    /// Throws unless each death with the lock was learnt of by whoever had it next, or is learnt here, once, and no other death was.
    func check(_ deaths: [Place]) throws {
        try enter()
        let new = Int(learnt.load() &- learntBefore)
        learntBefore &+= UInt32(new)
        try leave()
        let sure = deaths.count { $0 == .inside }
        let unsure = deaths.count { $0 != .inside && $0 != .outside }
        try require((sure...sure + unsure).contains(new), "\(new) deaths were learnt of: \(deaths)")
    }
}
