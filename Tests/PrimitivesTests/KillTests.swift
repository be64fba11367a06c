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

        @Test(.timeLimit(.minutes(10)))
        func `a lock survives the kill of its holders and waiters, and each death with it is learnt once`() async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 1)
                let data = GuardedData(chaos)
                var learntBefore = 0
                try chaos.run(kills: [.inside: Self.kills, .waiting: Self.kills]) { worker, chaos in
                    let place = chaos.place(of: worker)
                    place.store(Place.waiting.rawValue)
                    try data.enter()
                    place.store(Place.inside.rawValue)
                    data.change()
                    chaos.advance(worker)
                    place.store(Place.between.rawValue)
                    try require(data.lock.release(by: .thread), "the lock was not held")
                    place.store(Place.outside.rawValue)
                } after: { place in
                    // Whoever had it next has learnt of the death, or does here, and what the lock protects is whole again.
                    try data.enter()
                    let learnt = data.learnt - learntBefore
                    learntBefore += learnt
                    try require(data.lock.release(by: .thread), "the lock was not held")
                    switch place {
                    case .inside: try require(learnt == 1, "a death with the lock was learnt \(learnt) times")
                    case .outside: try require(learnt == 0, "a death without the lock was learnt")
                    default: try require(learnt <= 1, "a death was learnt \(learnt) times")
                    }
                }
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a lock that is held most of the time survives the kill of those who wait for it`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 11)
                try chaos.run(kills: [.waiting: Self.kills], victims: 1..<Chaos.workers) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let place = chaos.place(of: worker)
                    place.store(Place.waiting.rawValue)
                    _ = try lock.acquire()
                    place.store(Place.inside.rawValue)
                    // Held most of the time by the one that lives.
                    for _ in 0..<(worker == 0 ? 1000 : 1) { mp_pause() }
                    chaos.advance(worker)
                    try require(lock.release(by: .thread), "the lock was not held")
                    place.store(Place.outside.rawValue)
                    for _ in 0..<100 { mp_pause() }
                }
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a lock that tasks hold survives the kill of their process`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 12)
                try chaos.run(kills: [.inside: Self.kills, .waiting: Self.kills]) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let place = chaos.place(of: worker)
                    let holder = worker == 0 ? LockHolder.thread : .task(UInt64(worker))
                    place.store(Place.waiting.rawValue)
                    _ = try lock.acquire(for: holder)
                    place.store(Place.inside.rawValue)
                    for _ in 0..<100 { mp_pause() }
                    place.store(Place.between.rawValue)
                    try require(lock.release(by: holder), "the lock was not held")
                    place.store(Place.outside.rawValue)
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(10)), arguments: [Place.notifying, .waiting])
        func `a semaphore survives the kill of its givers and takers, and every permit is accounted for`(
            _ place: Place
        ) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .waiting ? 21 : 22)
                SemaphoreState(chaos.base).initialize(value: 0, maximum: UInt32(Int32.max))
                let victims = place == .waiting ? 1..<Chaos.workers : 0..<1
                try chaos.run(kills: [place: Self.kills], victims: victims) { worker, chaos in
                    let semaphore = SemaphoreState(chaos.base)
                    let place = chaos.place(of: worker)
                    if worker == 0 {
                        // Takers outnumbered by permits would never wait: giving stops while there are some.
                        while semaphore.value > 3 { sched_yield() }
                        place.store(Place.notifying.rawValue)
                        for _ in 0..<4 {
                            _ = semaphore.release()
                            chaos.count(0).add(1)
                        }
                    } else {
                        place.store(Place.waiting.rawValue)
                        try require(semaphore.acquire(until: .never) == .acquired, "not acquired")
                        chaos.count(1).add(1)
                    }
                    place.store(Place.outside.rawValue)
                    chaos.advance(worker)
                }
                let given = Int(chaos.count(0).load())
                let rest = Int(chaos.count(1).load()) + Int(SemaphoreState(chaos.base).value)
                let unsure = chaos.kills(in: .notifying) + chaos.kills(in: .waiting)
                try require(abs(given - rest) <= unsure, "\(given) given, \(rest) taken or left, \(unsure) unsure")
            }
        }

        @Test(.timeLimit(.minutes(10)), arguments: [Place.notifying, .waiting])
        func `an event survives the kill of its setters and of its waiters`(_ place: Place) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .waiting ? 31 : 32)
                let victims = place == .waiting ? 1..<Chaos.workers : 0..<1
                try chaos.run(kills: [place: Self.kills], victims: victims) { worker, chaos in
                    let event = EventState(chaos.base)
                    let place = chaos.place(of: worker)
                    if worker == 0 {
                        place.store(Place.notifying.rawValue)
                        for _ in 0..<10 {
                            event.set()
                            event.clear()
                        }
                        place.store(Place.outside.rawValue)
                        // From no time at all to enough for all to fall asleep.
                        for _ in 0..<chaos.count(0).add(37) % 600 { mp_pause() }
                    } else {
                        place.store(Place.waiting.rawValue)
                        try require(event.wait(until: .never) == .acquired, "not released")
                        place.store(Place.outside.rawValue)
                    }
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(10)), arguments: [Place.notifying, .waiting])
        func `a condition survives the kill of its notifiers and of its waiters`(_ place: Place) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: place == .waiting ? 41 : 42)
                let victims = place == .waiting ? 1..<Chaos.workers : 0..<1
                try chaos.run(kills: [place: Self.kills], victims: victims) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let condition = ConditionState(chaos.base + 64, lock: lock)
                    let items = chaos.count(0)
                    let place = chaos.place(of: worker)
                    _ = try lock.acquire()
                    if worker == 0 {
                        place.store(Place.notifying.rawValue)
                        for _ in 0..<3 {
                            if items.load() < 3 { items.add(1) }
                            if items.load() == 2 { condition.notifyAll() } else { condition.notify(1) }
                        }
                    } else {
                        place.store(Place.waiting.rawValue)
                        try waitForItem(items, condition, lock)
                        place.store(Place.outside.rawValue)
                        items.add(UInt32.max)
                    }
                    _ = lock.release(by: .thread)
                    place.store(Place.outside.rawValue)
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a barrier survives the kill of its parties, while they wait, arrive, run the action and break it`()
            async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 5)
                let parties = UInt32(Chaos.workers)
                BarrierState(chaos.base).initialize(parties: parties)
                try chaos.run(kills: [.waiting: Self.kills, .inside: Self.kills]) { worker, chaos in
                    let barrier = BarrierState(chaos.base)
                    let place = chaos.place(of: worker)
                    place.store(Place.waiting.rawValue)
                    let outcome = try barrier.wait(until: .never) {
                        place.store(Place.inside.rawValue)
                        chaos.count(0).add(1)
                        for _ in 0..<100 { mp_pause() }
                        place.store(Place.notifying.rawValue)
                    }
                    place.store(Place.between.rawValue)
                    if case .passed = outcome {
                        chaos.advance(worker)
                    } else if barrier.enter() {
                        if barrier.isBroken { barrier.reset() }
                        barrier.leave()
                    }
                    place.store(Place.outside.rawValue)
                }
            }
        }
    }
}

/// Two halves that only a kill can leave apart, with a lock around them.
private struct GuardedData {
    let lock: RobustLock
    private let chaos: Chaos

    init(_ chaos: Chaos) {
        self.chaos = chaos
        lock = RobustLock(chaos.base)
    }

    /// How many deaths with the lock were learnt of.
    var learnt: Int { Int(chaos.count(0).load()) }

    /// Acquires the lock; after a death with it mends the halves, otherwise they are whole.
    func enter() throws {
        let outcome = try lock.acquire(until: Deadline(timeout: .seconds(20)))
        if case .ownerDied = outcome {
            chaos.count(0).add(1)
            chaos.count(2).store(chaos.count(1).load())
        } else {
            try require(outcome == .acquired, "not acquired: \(outcome)")
        }
        try require(chaos.count(1).load() == chaos.count(2).load(), "half a change, and nobody was told")
    }

    /// Changes one half after the other.
    func change() {
        let first = chaos.count(1).add(1)
        for _ in 0..<200 { mp_pause() }
        chaos.count(2).store(first)
    }
}

/// Waits, with the lock held, until there is an item.
private func waitForItem(_ items: SharedWord, _ condition: ConditionState, _ lock: RobustLock) throws {
    while items.load() == 0 {
        var wait = condition.begin()
        repeat {
            _ = lock.release(by: .thread)
            _ = condition.sleep(wait, until: .never)
            _ = try lock.acquire()
        } while !condition.finish(&wait)
    }
}
