// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// Keeps the ledger: raises two numbers under the lock, alone.
func clerk(_ stage: Stage, _ random: Seeded) throws {
    var random = random
    while !stage.hasEnded {
        do {
            if random.once(in: 2) {
                try stage.lock.withLock { try enter(stage) }
            } else {
                // Two locks, always in this order.
                try stage.recursiveLock.withLock {
                    try stage.recursiveLock.withLock { try stage.lock.withLock { try enter(stage) } }
                }
            }
            stage.entries.add(1)
        } catch is OwnerDied {
            stage.deathsSeen.add(1)
            try? stage.lock.recover { try write(stage) }
        }
    }
}

/// What is done under the lock.
private func enter(_ stage: Stage) throws {
    let other = stage.inside.exchange(Int(getpid()))
    // One that died inside has left its number there.
    try check(other == 0 || Remnants.hasEnded(pid_t(other)), "\(other) and \(getpid()) hold one lock")
    stage.ledger[0] += 1
    stage.ledger[1] += 1
    try write(stage)
    _ = stage.inside.exchange(0)
}

/// Writes down what the ledger says now.
private func write(_ stage: Stage) throws {
    let entry = stage.ledger[1]
    try stage.list.replaceElement(at: 0, with: .integer(Int64(entry)))
    try stage.list.replaceElement(at: 1, with: .string("entry \(entry)"))
}
