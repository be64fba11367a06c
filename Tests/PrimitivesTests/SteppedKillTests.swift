// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    /// SIGKILL between any two instructions of one who was woken, before the wake-up has gone where it belongs: another has to get it.
    @Suite(.timeLimit(.minutes(30)), .enabled(if: SteppedProcess.isPossible, "ptrace(2) is not allowed here"))
    struct SteppedKillTests {
        /// How one waits for a lock.
        enum Wait: CaseIterable, Codable {
            case forEver, timed, cancellable, timedAndCancellable, asTask

            func acquire(_ lock: RobustLock) throws {
                let isTimed = self == .timed || self == .timedAndCancellable
                let isCancellable = self == .cancellable || self == .timedAndCancellable
                let outcome = try lock.acquire(
                    for: self == .asTask ? .task(3) : .thread,
                    until: isTimed ? Deadline(timeout: .seconds(100)) : .never,
                    cancellation: isCancellable ? WaitCancellation() : nil
                )
                try require(outcome == .acquired, "\(outcome)")
            }
        }

        /// The places to be killed at, if there are so many instructions: the first, the last, and some in between that are not the same each time.
        private static func places(_ count: Int) -> [Int] {
            var generator = SeededGenerator(seed: 7)
            let some = (0..<30).map { _ in Int.random(in: 0..<count, using: &generator) }
            return [0, 1, 2] + some + (1...8).map { max(0, count - $0) }
        }

        /// Lets `victim` wake by `wake` and execute so many instructions, or all until it is `done`, and kills it. Returns how many it executed.
        private static func wake(
            _ victim: SteppedProcess,
            by wake: () throws -> Void,
            instructions most: Int?,
            done: () -> Bool
        ) throws -> Int {
            try wake()
            try victim.awaitWake()
            var left = most ?? .max
            let count = try victim.step {
                defer { left -= 1 }
                return left == 0 || done()
            }
            guard let count else { throw LaboratoryFailure(description: "the victim ended by itself") }
            try victim.destroy()
            return count
        }

        /// One is woken for a lock, and killed after so many instructions; another waits behind it, and has to get the lock. Returns how many it executed.
        private static func killWoken(_ wait: Wait, _ lock: RobustLock, instructions: Int?) throws -> Int {
            _ = try lock.acquire()
            let victim = try SteppedProcess {
                try wait.acquire(lock)
            }
            try victim.sleep(on: lock.base)
            let other = try ForkedProcess {
                // At the deadline it would find the lock free.
                let deadline = Deadline(timeout: .seconds(60))
                let outcome = try lock.acquire(until: deadline)
                try require(outcome != .timedOut && !deadline.hasPassed, "slept on")
                _ = lock.release(by: .thread)
            }
            try waitFor("the other one") { isAsleep(other.pid) }
            let count = try Self.wake(victim, by: { _ = lock.release(by: .thread) }, instructions: instructions) {
                lock.isLocked
            }
            let status = try other.join()
            try require(status == 0, "the other one slept on after \(count) instructions")
            if case .ownerDied = try lock.acquire() {}
            _ = lock.release(by: .thread)
            return count
        }

        @Test(arguments: Wait.allCases)
        func `whoever is killed when it was woken for a lock, before it has it, leaves it to the next`(
            wait: Wait
        )
            async throws
        {
            try await Laboratory.run {
                Spinning.disable()
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let lock = RobustLock(region.base)
                let count = try Self.killWoken(wait, lock, instructions: nil)
                for place in Self.places(count) {
                    Laboratory.signOfLife()
                    _ = try Self.killWoken(wait, lock, instructions: place)
                }
            }
        }

        /// One runs the action of a barrier and is killed; of those who wait the first is told by the kernel, and killed in turn after so many instructions; the others have to learn of it. Returns how many it
        /// executed.
        private static func killMessenger(instructions: Int?) throws -> Int {
            let region = try MemoryRegion(size: 4096, name: "mp-test")
            let barrier = BarrierState(region.base)
            barrier.initialize(parties: 4)
            let words = SharedWord(region.base, offset: 3072)
            let wait = {
                // At the deadline it would find out by itself.
                let deadline = Deadline(timeout: .seconds(60))
                let outcome = try barrier.wait(until: deadline) {
                    words.store(1)
                    while true { pause() }
                }
                try require(outcome == .broken && !deadline.hasPassed, "\(outcome)")
            }
            let victim = try SteppedProcess { try wait() }
            try victim.sleep(on: region.base + 128)
            let others = try (0..<2).map { _ in try ForkedProcess { try wait() } }
            try waitFor("the others") { others.allSatisfy { isAsleep($0.pid) } }
            let last = try ForkedProcess { try wait() }
            try waitFor("the action") { words.load() == 1 }
            let count = try Self.wake(victim, by: { try last.destroy() }, instructions: instructions) {
                barrier.isBroken
            }
            for other in others {
                let status = try other.join()
                try require(status == 0, "another one slept on after \(count) instructions: \(status)")
            }
            return count
        }

        @Test
        func
            `whoever is killed when it was told of a death in a barrier's action, before all know, leaves that to the next`()
            async throws
        {
            try await Laboratory.run {
                Spinning.disable()
                let count = try Self.killMessenger(instructions: nil)
                for place in Self.places(count) {
                    Laboratory.signOfLife()
                    _ = try Self.killMessenger(instructions: place)
                }
            }
        }
    }
}
