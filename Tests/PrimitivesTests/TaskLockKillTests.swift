// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    /// SIGKILL between any two instructions of one who takes a lock for a task. The threads of a killed process end one after the other: the one in whose name the lock is taken may be gone by then.
    @Suite(.timeLimit(.minutes(30)), .enabled(if: SteppedProcess.isPossible, "ptrace(2) is not allowed here"))
    struct TaskLockKillTests {
        /// A lock, and whom the taker tells that it has it.
        struct Place {
            let region: MemoryRegion
            let lock: RobustLock
            let word: SharedWord

            init() throws {
                region = try MemoryRegion(size: 4096, name: "mp-test")
                lock = RobustLock(region.base)
                word = SharedWord(region.base, offset: 1024)
            }

            /// A process that is about to take the lock for a task, of which the thread that holds locks for its tasks lives, or has ended.
            func taker(holderLives: Bool) throws -> SteppedProcess {
                try SteppedProcess {
                    try require(try lock.acquire(for: .task(1)) == .acquired, "not acquired")
                    let holder = Int32(lock.base.load(as: UInt32.self) & 0x3fff_ffff)
                    try require(lock.release(by: .task(1)), "not released")
                    if !holderLives {
                        try require(laboratory_end_thread(holder) == 0, "the holder lives on")
                    }
                } _: {
                    try require(try lock.acquire(for: .task(2)) == .acquired, "not acquired")
                    word.store(1)
                }
            }
        }

        /// How many instructions it takes until the lock has an owner, and until the taker knows that.
        private static func measure() throws -> (owned: Int, known: Int) {
            let place = try Place()
            let taker = try place.taker(holderLives: true)
            let owned = try taker.step { place.lock.isLocked }
            let known = try taker.step { place.word.load() == 1 }
            try taker.destroy()
            guard let owned, let known else { throw LaboratoryFailure(description: "it ended by itself") }
            return (owned, owned + known)
        }

        @Test(arguments: [true, false], [false, true])
        func `whoever takes a lock for a task leaves it to others wherever it is killed`(
            holderLives: Bool,
            isWaitedFor: Bool
        ) async throws {
            try await Laboratory.run {
                Spinning.disable()
                let (owned, known) = try Self.measure()
                var generator = SeededGenerator(seed: 5)
                // Every instruction around the store that gives it an owner would take long; they are others each time the code changes.
                let before = (0..<5).map { _ in Int.random(in: 0..<owned, using: &generator) }
                let after = (0..<24).map { _ in Int.random(in: owned...known, using: &generator) }
                for count in before + [owned - 1, owned, owned + 1, owned + 2, owned + 3] + after {
                    Laboratory.signOfLife()
                    let place = try Place()
                    let taker = try place.taker(holderLives: holderLives)
                    var left = count
                    _ = try taker.step {
                        defer { left -= 1 }
                        return left == 0
                    }
                    // Before the death, as soon as there is something to wait for, or after it.
                    let next = try isWaitedFor && place.lock.isLocked ? Self.waiter(place.lock) : nil
                    if let next { try waitFor("the waiter") { isAsleep(next.pid) } }
                    try taker.destroy()
                    let status = try (next ?? Self.waiter(place.lock)).join()
                    try require(
                        status == 0,
                        "held for ever after \(count) instructions, of which \(owned) before it was"
                    )
                }
            }
        }

        private static func waiter(_ lock: RobustLock) throws -> ForkedProcess {
            try ForkedProcess {
                let outcome = try lock.acquire(until: Deadline(timeout: .seconds(60)))
                try require(outcome != .timedOut, "not acquired")
                try require(lock.release(by: .thread), "not released")
                try require(lock.acquireIfFree(), "not as free as a new one")
                _ = lock.release(by: .thread)
            }
        }
    }
}
