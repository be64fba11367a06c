// SPDX-License-Identifier: Apache-2.0

import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct SemaphoreStateTests {
        @Test func `a cancelled waiter whose permit another took leaves nobody asleep`() async throws {
            try await Laboratory.run {
                let words = try MemoryRegion(size: 4096, name: "mp-test")
                let semaphore = SemaphoreState(words.base)
                semaphore.initialize(value: 0, maximum: 10)
                let order = SharedWord(words.base, offset: 1024)
                let cancelled = try ForkedProcess {
                    let cancellation = WaitCancellation()
                    try Thread.start(name: "mp-test") {
                        while order.load() == 0 { _ = order.wait(while: 0, until: .never) }
                        cancellation.cancel()
                    }
                    let outcome = semaphore.acquire(until: .never, cancellation: cancellation)
                    try require(outcome == .cancelled, "\(outcome)")
                }
                try waitFor("the first waiter") { isAsleep(cancelled.pid) }
                let next = try ForkedProcess {
                    let outcome = semaphore.acquire(until: .never)
                    try require(outcome == .acquired, "\(outcome)")
                }
                try waitFor("the next waiter") { isAsleep(next.pid) }
                // What a permit that was given for the first waiter, and taken before it ran, leaves behind: no mark that somebody waits.
                SharedWord(words.base, offset: 0).store(0)
                order.store(1)
                order.wake(1)
                var status = try cancelled.join()
                try require(status == 0, "the cancelled waiter ended with \(status)")
                try require(semaphore.release(), "refused")
                status = try next.join()
                try require(status == 0, "the next waiter ended with \(status)")
                try require(semaphore.value == 0, "\(semaphore.value)")
            }
        }
    }
}
