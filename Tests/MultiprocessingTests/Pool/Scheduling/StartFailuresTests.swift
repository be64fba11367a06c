// SPDX-License-Identifier: Apache-2.0

import MultiprocessingPrimitives
import Testing

@testable import Multiprocessing

private struct Refused: Error {}

/// When a pool goes on to start workers, and when it has had enough.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct StartFailuresTests {
    /// Notes that a start has failed that was begun after all others had.
    private func count(_ failures: inout StartFailures) {
        let counts = failures.count(round: failures.round)
        #expect(counts)
    }

    @Test func `starts that fail one after the other are over after four`() {
        var failures = StartFailures()
        #expect(failures.next.hasPassed)
        for number in 1...4 {
            #expect(!failures.isOver)
            #expect(failures.failed(Refused()) == (number == 4))
        }
        #expect(failures.isOver)
        // It is said once.
        #expect(failures.failed(Refused()) == false)
        failures.succeeded()
        #expect(failures.isOver)
    }

    @Test(arguments: [1, 2, 4, 8, 100]) func `workers that fail at the same moment fail once`(_ workers: Int) {
        var failures = StartFailures()
        for round in 0..<4 {
            #expect(!failures.isOver && failures.round == round)
            let begun = failures.round
            for worker in 0..<workers {
                // Only the first counts, and only it puts off the next round.
                let before = failures.next
                let counts = failures.count(round: begun)
                #expect(counts == (worker == 0))
                #expect((failures.next > before) == (worker == 0))
            }
        }
        #expect(failures.isOver)
    }

    @Test func `pauses grow from round to round, and to an end`() {
        var failures = StartFailures()
        for least: Int64 in [40, 160, 640, 2560, 10_240, 10_240] {
            let before = Deadline(timeout: .milliseconds(least)).nanoseconds
            count(&failures)
            #expect(failures.next.nanoseconds >= before)
        }
    }

    @Test func `a worker that is there ends the row, and what failed beside it does not begin another`() {
        var failures = StartFailures()
        let first = failures.round
        for _ in 0..<3 { count(&failures) }
        failures.succeeded()
        #expect(failures.next.hasPassed)
        #expect(failures.count(round: first) == false)
        #expect(failures.next.hasPassed)
        for number in 1...4 {
            let isLast = failures.failed(Refused(), round: failures.round)
            #expect(isLast == (number == 4))
        }
    }

    @Test func `where others answer, the pause goes on, and the row begins anew`() {
        var failures = StartFailures()
        for _ in 0..<100 {
            count(&failures)
            let next = failures.next
            failures.beginAnew()
            #expect(failures.next == next)
        }
        #expect(!failures.isOver)
    }
}
