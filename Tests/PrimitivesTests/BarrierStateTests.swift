// SPDX-License-Identifier: Apache-2.0

import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(10))) struct BarrierStateTests {
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
    }
}

private func pass(_ barrier: BarrierState, times: Int) throws {
    for _ in 0..<times {
        guard case .passed = try barrier.wait(until: .never, action: nil) else {
            throw LaboratoryFailure(description: "broken")
        }
    }
}
