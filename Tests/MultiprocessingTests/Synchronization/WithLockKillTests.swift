// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Laboratory
import Multiprocessing
import Testing

/// SIGKILL at random moments inside `withLock`: the next owner is told once, and mends what the lock protects.
@Suite(.timeLimit(.minutes(30)), .serialized)
struct WithLockKillTests {
    @Test(arguments: [1, 8]) func `of a lock`(atATime victims: Int) async throws {
        try await Laboratory.run {
            let lock = try Lock()
            let kills = victims == 1 ? 100 : 1000
            try killInside(kills, victims, seed: 61) {
                try lock.withLock($0)
            } recover: {
                try lock.recover($0)
            }
        }
    }

    @Test func `of a recursive lock, held twice`() async throws {
        try await Laboratory.run {
            let lock = try RecursiveLock()
            try killInside(100, seed: 62) { body in
                try lock.withLock { try lock.withLock(body) }
            } recover: { body in
                try lock.recover { try lock.recover(body) }
            }
        }
    }

    @Test func `of a condition`() async throws {
        try await Laboratory.run {
            let condition = try Condition()
            try killInside(100, seed: 63) {
                try condition.withLock($0)
            } recover: {
                try condition.recover($0)
            }
        }
    }

    @Test func `of an array`() async throws {
        try await Laboratory.run {
            let array = try SharedArray<Int>(count: 1)
            try killInside(100, seed: 64) {
                try array.withLock($0)
            } recover: {
                try array.recover($0)
            }
        }
    }
}

/// Kills who has the lock, so many times, and looks after each kill what the next owner is told and leaves.
private func killInside(
    _ kills: Int,
    _ victims: Int = 1,
    seed: UInt64,
    withLock: @escaping (() throws -> Void) throws -> Void,
    recover: @escaping (() throws -> Void) throws -> Void
) throws {
    let chaos = try Chaos(seed: seed, victims: victims)
    /// Two halves that only a kill can leave apart.
    let halves = (try SharedAtomic(0), try SharedAtomic(0))
    let deaths = try SharedAtomic(0)
    func use(_ body: @escaping () throws -> Void) throws {
        do { try withLock(body) } catch is OwnerDied {
            deaths.add(1)
            try recover { halves.1.store(halves.0.load()) }
        }
    }
    var before = 0
    try chaos.run(kills: [.inside: kills]) { worker, chaos in
        try chaos.enter(.waiting, worker)
        try use {
            try chaos.enter(.inside, worker)
            halves.0.add(1)
            for _ in 0..<100 { mp_pause() }
            halves.1.add(1)
            try chaos.enter(.between, worker)
        }
        try chaos.enter(.outside, worker)
        chaos.advance(worker)
        // Leaves the others a chance.
        for _ in 0..<200 { mp_pause() }
    } after: { killed in
        // From here on each death has been told, and as soon as all have got on, whoever was told has mended what it left.
        try use {}
        for witness in victims..<victims + 2 { try chaos.awaitProgress(of: witness) }
        let new = deaths.load() - before
        before += new
        let sure = killed.count { $0 == .inside }
        let unsure = killed.count - sure
        // Who mends what one death left takes another one as told that happens before he has the lock.
        let least = max(0, min(sure, 1) - unsure)
        try check((least...killed.count).contains(new), "\(new) deaths were told of: \(killed)")
        guard unsure == 0 else { return try recover { halves.1.store(halves.0.load()) } }
        try check(new <= sure && (killed.count > 1 || new == sure), "\(sure) deaths were told of \(new) times")
        try withLock { try check(halves.0.load() == halves.1.load(), "half a change is left") }
    }
}
