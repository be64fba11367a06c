// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Laboratory
import Multiprocessing
import MultiprocessingPrimitives
import Testing

/// SIGKILL at random moments, 1,000 times each, of who waits for a condition and of who notifies it, by the calls that users make: the others get on.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct ConditionKillTests {
    /// All wait for the next of a number of events. The one who brings them about does not go on before the one who lives has seen each: nobody would wake him if he had to be woken by one who died.
    @Test func `who waits may be killed`() async throws {
        try await Laboratory.run {
            let condition = try Condition()
            let events = try SharedAtomic(0)
            let chaos = try Chaos(seed: 65, victims: 2)
            let (waiter, notifier) = (2, 3)
            let seen = chaos.count(0)
            try chaos.run(kills: [.waiting: 1000]) { worker, chaos in
                let before = seen.load()
                try mending(condition) {
                    if worker == notifier {
                        events.add(1)
                        try condition.notifyAll()
                    } else {
                        let last = worker == waiter ? Int(before) : events.load()
                        try chaos.enter(.waiting, worker)
                        try condition.wait { events.load() != last }
                        try chaos.enter(.between, worker)
                    }
                }
                try chaos.enter(.outside, worker)
                if worker == waiter {
                    seen.store(UInt32(events.load()))
                    seen.wake(1)
                }
                while worker == notifier, case let old = seen.load(), old != UInt32(events.load()) {
                    _ = seen.wait(while: old, until: .never)
                }
                chaos.advance(worker)
            }
        }
    }

    @Test func `who notifies may be killed`() async throws {
        try await Laboratory.run {
            let condition = try Condition()
            let (items, told) = (try SharedAtomic(0), try SharedAtomic(0))
            let chaos = try Chaos(seed: 66)
            let waiter = 8
            try chaos.run(kills: [.notifying: 1000]) { worker, chaos in
                try mending(condition) {
                    if worker == waiter {
                        try condition.wait { items.load() > 0 }
                        items.subtract(1)
                        return
                    }
                    try chaos.enter(.notifying, worker)
                    for count in 1...3 {
                        if items.load() < 3 { items.add(1) }
                        if items.load() == 2 { try condition.notifyAll() } else { try condition.notify() }
                        for _ in 0..<20 * count { mp_pause() }
                    }
                    try chaos.enter(.between, worker)
                } afterDeath: {
                    told.add(1)
                }
                try chaos.enter(.outside, worker)
                chaos.advance(worker)
                // Leaves the others a chance.
                for _ in 0..<100 { mp_pause() }
            }
            // A notifier has the lock.
            try require(told.load() > 100, "only \(told.load()) deaths with the lock were told of")
        }
    }
}

/// Runs `body` with the lock of a condition, and mends what it protects, which is nothing, after a death with it.
private func mending(
    _ condition: Condition,
    _ body: () throws -> Void,
    afterDeath: () -> Void = {}
) throws {
    do {
        try condition.withLock(body)
    } catch is OwnerDied {
        afterDeath()
        try condition.recover {}
    }
}
