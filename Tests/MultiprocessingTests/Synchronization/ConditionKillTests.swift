// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Laboratory
import Multiprocessing
import Testing

/// SIGKILL at random moments, 1,000 times each, of who waits for a condition and of who notifies it, by the calls that users make: the others get on.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct ConditionKillTests {
    /// Worker 8 waits and worker 9 notifies; neither is killed. The victims do what is to be cut short.
    @Test(arguments: [Place.waiting, .notifying])
    func `who waits and who notifies may be killed`(_ place: Place) async throws {
        try await Laboratory.run {
            let condition = try Condition()
            let (items, told) = (try SharedAtomic(0), try SharedAtomic(0))
            let chaos = try Chaos(seed: place == .waiting ? 65 : 66)
            try chaos.run(kills: [place: 1000]) { worker, chaos in
                do {
                    try condition.withLock {
                        if worker == 9 || worker < 8 && place == .notifying {
                            try notify(condition, of: items, worker, chaos)
                        } else {
                            try chaos.enter(.waiting, worker)
                            try condition.wait { items.load() > 0 }
                            try chaos.enter(.between, worker)
                            items.subtract(1)
                        }
                    }
                } catch is OwnerDied {
                    told.add(1)
                    try condition.recover {}
                }
                try chaos.enter(.outside, worker)
                chaos.advance(worker)
                // Leaves the others a chance.
                for _ in 0..<100 { mp_pause() }
            }
            // A notifier has the lock.
            try require(place == .waiting || told.load() > 100, "only \(told.load()) deaths with the lock were told of")
        }
    }
}

/// Makes items, and notifies those who wait for them.
private func notify(_ condition: Condition, of items: SharedAtomic<Int>, _ worker: Int, _ chaos: Chaos) throws {
    try chaos.enter(.notifying, worker)
    for count in 1...3 {
        if items.load() < 3 { items.add(1) }
        if items.load() == 2 { try condition.notifyAll() } else { try condition.notify() }
        for _ in 0..<20 * count { mp_pause() }
    }
    try chaos.enter(.between, worker)
}
