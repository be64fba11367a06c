// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    /// SIGKILL at random moments, 1,000 times in each test.
    @Suite struct KillTests {
        static let kills = 1000

        @Test(.timeLimit(.minutes(10)))
        func `a lock survives the kill of its holders and waiters, and each death with it is learnt once`() async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 1)
                try chaos.run(kills: Self.kills) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let place = chaos.place(of: worker)
                    place.store(Place.between.rawValue)
                    let outcome = try lock.acquire()
                    if case .ownerDied = outcome { chaos.count(0).add(1) }
                    place.store(Place.inside.rawValue)
                    // Two halves that only a kill can leave apart.
                    let first = chaos.count(1).add(1)
                    for _ in 0..<200 { mp_pause() }
                    chaos.count(2).store(first)
                    chaos.advance(worker)
                    place.store(Place.between.rawValue)
                    try require(lock.release(by: .thread), "the lock was not held")
                    place.store(Place.outside.rawValue)
                }
                // The last ones were killed at the end: whoever held the lock then is learnt of here.
                var learnt = Int(chaos.count(0).load())
                if case .ownerDied = try RobustLock(chaos.base).acquire(until: Deadline(timeout: .seconds(5))) {
                    learnt += 1
                }
                try require(RobustLock(chaos.base).release(by: .thread), "the lock was not free in the end")
                let sure = chaos.kills(in: .inside)
                let unsure = chaos.kills(in: .between)
                try require(sure > 50, "only \(sure) were killed with the lock")
                try require(
                    (sure...sure + unsure).contains(learnt),
                    "\(learnt) deaths learnt, \(sure) + at most \(unsure) happened"
                )
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a lock survives the kill of those who wait for it`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 11)
                try chaos.run(kills: Self.kills, victims: 1..<Chaos.workers) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    // Held most of the time by the one that lives.
                    _ = try lock.acquire()
                    for _ in 0..<(worker == 0 ? 1000 : 1) { mp_pause() }
                    chaos.advance(worker)
                    try require(lock.release(by: .thread), "the lock was not held")
                    for _ in 0..<100 { mp_pause() }
                }
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a lock that tasks hold survives the kill of their process`() async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 12)
                try chaos.run(kills: Self.kills) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let holder = worker == 0 ? LockHolder.thread : .task(UInt64(worker))
                    _ = try lock.acquire(for: holder)
                    for _ in 0..<100 { mp_pause() }
                    try require(lock.release(by: holder), "the lock was not held")
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(10)))
        func `a semaphore survives the kill of its givers and takers, and every permit is accounted for`() async throws
        {
            try await Laboratory.run {
                let chaos = try Chaos(seed: 2)
                SemaphoreState(chaos.base).initialize(value: 0, maximum: UInt32(Int32.max))
                try chaos.run(kills: Self.kills) { worker, chaos in
                    let semaphore = SemaphoreState(chaos.base)
                    let place = chaos.place(of: worker)
                    if worker == 0 {
                        // Takers outnumbered by permits would never wait: giving stops while there are some.
                        while semaphore.value > 3 { sched_yield() }
                        place.store(Place.between.rawValue)
                        _ = semaphore.release()
                        chaos.count(0).add(1)
                    } else {
                        place.store(Place.between.rawValue)
                        try require(semaphore.acquire(until: .never) == .acquired, "not acquired")
                        chaos.count(1).add(1)
                    }
                    place.store(Place.outside.rawValue)
                    chaos.advance(worker)
                }
                let given = Int(chaos.count(0).load())
                let rest = Int(chaos.count(1).load()) + Int(SemaphoreState(chaos.base).value)
                let unsure = chaos.kills(in: .between)
                try require(abs(given - rest) <= unsure, "\(given) given, \(rest) taken or left, \(unsure) unsure")
            }
        }

        @Test(.timeLimit(.minutes(10)), arguments: [true, false])
        func `an event survives the kill of its setters and of its waiters`(killsSetter: Bool) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: killsSetter ? 31 : 32)
                try chaos.run(kills: Self.kills, victims: killsSetter ? 0..<1 : 1..<Chaos.workers) { worker, chaos in
                    let event = EventState(chaos.base)
                    if worker == 0 {
                        event.set()
                        event.clear()
                        // From no time at all to enough for all to fall asleep.
                        for _ in 0..<chaos.count(0).add(37) % 600 { mp_pause() }
                    } else {
                        try require(event.wait(until: .never) == .acquired, "not released")
                    }
                    chaos.advance(worker)
                }
            }
        }

        @Test(.timeLimit(.minutes(10)), arguments: [true, false])
        func `a condition survives the kill of its notifiers and of its waiters`(killsNotifier: Bool) async throws {
            try await Laboratory.run {
                let chaos = try Chaos(seed: killsNotifier ? 41 : 42)
                try chaos.run(kills: Self.kills, victims: killsNotifier ? 0..<1 : 1..<Chaos.workers) { worker, chaos in
                    let lock = RobustLock(chaos.base)
                    let condition = ConditionState(chaos.base + 64, lock: lock)
                    let items = chaos.count(0)
                    _ = try lock.acquire()
                    if worker == 0 {
                        if items.load() < 3 { items.add(1) }
                        if items.load() == 2 { condition.notifyAll() } else { condition.notify(1) }
                    } else {
                        try waitForItem(items, condition, lock)
                        items.add(UInt32.max)
                    }
                    _ = lock.release(by: .thread)
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
                try chaos.run(kills: Self.kills) { worker, chaos in
                    let barrier = BarrierState(chaos.base)
                    let outcome = try barrier.wait(until: .never) {
                        chaos.count(0).add(1)
                        for _ in 0..<100 { mp_pause() }
                    }
                    if case .passed = outcome {
                        chaos.advance(worker)
                    } else if barrier.enter() {
                        if barrier.isBroken { barrier.reset() }
                        barrier.leave()
                    }
                }
            }
        }
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
