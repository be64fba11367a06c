// SPDX-License-Identifier: Apache-2.0

import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct EventStateTests {
        @Test func `setting releases all who sleep, also when the event is cleared before they run`() async throws {
            try await Laboratory.run {
                let region = try MemoryRegion(size: 4096, name: "mp-test")
                let event = EventState(region.base)
                let released = SharedWord(region.base, offset: 1024)
                let begun = SharedWord(region.base, offset: 1088)
                let rounds: UInt32 = 50
                Spinning.disable()
                let sleepers = try (0..<3).map { _ in
                    try ForkedProcess {
                        for round in 1...rounds {
                            try waitFor("the event to be cleared") { begun.load() == round }
                            try require(event.wait(until: .never) == .acquired, "not released")
                            released.add(1)
                        }
                    }
                }
                for round in 1...rounds {
                    Laboratory.signOfLife()
                    begun.store(round)
                    try waitFor("all to sleep") { sleepers.allSatisfy { isAsleep($0.pid) } }
                    event.set()
                    event.clear()
                    try waitFor("all to be released") { released.load() == round * 3 }
                }
                for sleeper in sleepers { try require(try sleeper.join() == 0, "a sleeper failed") }
            }
        }
    }
}
