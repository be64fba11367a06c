// SPDX-License-Identifier: Apache-2.0

import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct BarrierStateTests {
        @Test func `a party that was stopped while others went on learns how its own generation ended`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let barrier = BarrierState(region.base)
                barrier.initialize(parties: 2)
                let sleeper = try ForkedProcess {
                    try require(try barrier.wait(until: .never, action: nil) == .broken, "passed")
                }
                try waitFor("the sleeper") { barrier.waiting == 1 }
                kill(sleeper.pid, SIGSTOP)
                try require(barrier.enter(), "not entered")
                barrier.reset()
                barrier.leave()
                // A multiple of the number of generations that one word could remember.
                let other = try ForkedProcess { try pass(barrier, times: 128) }
                try pass(barrier, times: 128)
                try require(try other.join() == 0, "the other party failed")
                kill(sleeper.pid, SIGCONT)
                try require(try sleeper.join() == 0, "the sleeper passed, though its generation failed")
            }
        }

        @Test func `parties pass when the number of the generation begins anew`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let barrier = BarrierState(region.base)
                barrier.initialize(parties: 2)
                // The last but one of the 2^30.
                phase(region).store(0xffff_fff8)
                let other = try ForkedProcess { try pass(barrier, times: 4) }
                try pass(barrier, times: 4)
                try require(try other.join() == 0, "the other party failed")
                try require(phase(region).load() & ~3 == 8, "\(phase(region).load())")
            }
        }

        @Test(arguments: [(16_383, true), (16_384, false)])
        func `how a generation ended is known for as long as it is written down, and taken as failed afterwards`(
            age: UInt32,
            isKnown: Bool
        ) async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let barrier = BarrierState(region.base)
                barrier.initialize(parties: 2)
                let sleeper = try ForkedProcess {
                    let outcome = try barrier.wait(until: .never, action: nil)
                    try require(outcome == (isKnown ? .passed(0) : .broken), "\(outcome)")
                }
                try waitFor("the sleeper") { barrier.waiting == 1 && isAsleep(sleeper.pid) }
                kill(sleeper.pid, SIGSTOP)
                try pass(barrier, times: 1)
                // As many more as others would have gone on meanwhile.
                phase(region).add(4 * (age - 1))
                kill(sleeper.pid, SIGCONT)
                let status = try sleeper.join()
                try require(status == 0, "the sleeper ended with \(status)")
            }
        }
    }
}

/// The word that says which generation it is, from bit 2 on.
private func phase(_ region: MemoryRegion) -> SharedWord { SharedWord(region.base, offset: 128) }

private func pass(_ barrier: BarrierState, times: Int) throws {
    for _ in 0..<times {
        guard case .passed = try barrier.wait(until: .never, action: nil) else {
            throw LaboratoryFailure(description: "broken")
        }
    }
}
