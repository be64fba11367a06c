// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// SIGKILL of processes whose tasks hold and await primitives; others go on, and what is broken is mended.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct AsyncKillTests {
    @Test func `a lock survives the kill of processes whose tasks hold it and wait for it`() async throws {
        try await isolated {
            let lock = try Lock()
            let (entries, deaths) = (try SharedAtomic(0), try SharedAtomic(0))
            try killAgainAndAgain(seed: 1) {
                do {
                    try await lock.withLock { () async throws in
                        entries.add(1)
                        await Task.yield()
                    }
                } catch is OwnerDied {
                    deaths.add(1)
                    try await lock.recover { _ = entries.load() }
                }
            } afterKill: {
                do {
                    try lock.withLock { _ = entries.load() }
                } catch is OwnerDied {
                    deaths.add(1)
                    try lock.recover { _ = entries.load() }
                }
            }
            try check(deaths.load() > 0, "nobody was killed with the lock")
        }
    }

    @Test func `a semaphore survives the kill of processes whose tasks wait for it`() async throws {
        try await isolated {
            let semaphore = try Semaphore(value: 0)
            try killAgainAndAgain(seed: 2) {
                try await semaphore.acquire()
            } meanwhile: {
                if semaphore.value < 3 { try semaphore.release() }
            } afterKill: {
            }
        }
    }

    @Test func `a bounded semaphore survives the kill of processes whose tasks wait for it`() async throws {
        try await isolated {
            let semaphore = try BoundedSemaphore(value: 4)
            while try semaphore.acquire(timeout: .zero) {}
            try killAgainAndAgain(seed: 3) {
                try await semaphore.acquire()
            } meanwhile: {
                if semaphore.value < 3 { try semaphore.release() }
            } afterKill: {
            }
        }
    }

    @Test func `an event survives the kill of processes whose tasks wait for it`() async throws {
        try await isolated {
            let event = try Event()
            try killAgainAndAgain(seed: 4) {
                try await event.wait()
            } meanwhile: {
                event.set()
                event.clear()
            } afterKill: {
            }
        }
    }

    @Test func `a condition survives the kill of processes whose tasks wait for it`() async throws {
        try await isolated {
            let condition = try Condition()
            @Sendable func mending(_ body: () throws -> Void) throws {
                do { try body() } catch is OwnerDied { try condition.recover {} }
            }
            try killAgainAndAgain(seed: 5) {
                do {
                    try await condition.withLock { () async throws in _ = try await condition.wait() }
                } catch is OwnerDied {
                    // Thrown by `wait` too, which then has the lock: `withLock` has released it.
                }
            } meanwhile: {
                try mending { try condition.withLock { try condition.notifyAll() } }
            } afterKill: {
                try mending { try condition.withLock {} }
            }
        }
    }

    @Test func `a barrier survives the kill of processes whose tasks wait for it`() async throws {
        try await isolated {
            let barrier = try Barrier(parties: 2) {}
            try killAgainAndAgain(seed: 6) {
                do { try await barrier.wait() } catch is BrokenBarrier { try await barrier.reset() }
            } afterKill: {
                if barrier.isBroken { barrier.reset() }
            }
        }
    }
}

/// Kills processes at random moments in which three tasks make the same call again and again; a witness that does so too, and is not killed, has to get on after each.
private func killAgainAndAgain(
    seed: UInt64,
    _ call: @escaping @Sendable () async throws -> Void,
    meanwhile: () throws -> Void = {},
    afterKill: () throws -> Void
) throws {
    /// How many calls were begun and ended by the process that is killed, and by the other.
    let (begun, ended) = (try SharedAtomic(0), try SharedAtomic(0))
    let (begunByWitness, progress) = (try SharedAtomic(0), try SharedAtomic(0))
    func process(_ begun: SharedAtomic<Int>, _ ended: SharedAtomic<Int>) throws -> ChildProcess {
        let child = ChildProcess(daemon: true) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        while true {
                            begun.add(1)
                            try await call()
                            ended.add(1)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        try child.start()
        return child
    }
    var random = Seeded(seed: seed)
    let witness = try process(begunByWitness, progress)
    for round in 0..<150 {
        let before = begun.load()
        let victim = try process(begun, ended)
        try checkEventually("the tasks have begun") {
            try meanwhile()
            return begun.load() >= before + 3
        }
        let moment = ContinuousClock.now + .microseconds(Int.random(in: 0..<1500, using: &random))
        while ContinuousClock.now < moment { try meanwhile() }
        try check(victim.isAlive, "round \(round): a task failed")
        try victim.kill()
        try victim.join()
        try afterKill()
        let seen = progress.load()
        try checkEventually("round \(round): the witness gets on") {
            try meanwhile()
            return progress.load() > seen
        }
    }
    try check(witness.isAlive, "a task of the witness failed")
    try check(ended.load() > 0, "all were killed before they had done anything")
    try witness.kill()
    try witness.join()
}
