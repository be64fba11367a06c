// SPDX-License-Identifier: Apache-2.0

import Multiprocessing

/// Waits for and wakes others, in every way there is, never for long.
func waiter(_ stage: Stage, _ random: Seeded) throws {
    var random = random
    while !stage.hasEnded {
        let timeout = Duration.milliseconds(Int.random(in: 0...20, using: &random))
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            if try stage.semaphore.acquire(timeout: timeout) { try stage.semaphore.release() }
        case 7:
            if try stage.bounded.acquire(timeout: timeout) { try stage.bounded.release() }
        case 1: _ = try stage.event.wait(timeout: timeout)
        case 2: stage.event.set()
        case 3: stage.event.clear()
        case 4:
            do {
                _ = try stage.barrier.wait(timeout: timeout)
            } catch is BrokenBarrier {
                stage.barrier.reset()
            }
        case 5:
            try survivingDeaths(stage) {
                try stage.condition.withLock { _ = try stage.condition.wait(timeout: timeout) }
            }
        default:
            try survivingDeaths(stage) { try stage.condition.withLock { try stage.condition.notifyAll() } }
        }
        stage.waits.add(1)
    }
}

/// The lock of the condition may be that of a process that died with it.
private func survivingDeaths(_ stage: Stage, _ body: () throws -> Void) throws {
    do { try body() } catch is OwnerDied {}
}
