// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

@testable import MultiprocessingChannels

extension RingTests {
    @Test(arguments: ["counts the last message", "ends the ring"])
    func `whoever is killed right before it wakes those who wait for the rest leaves nobody asleep`(
        what: String
    ) async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            _ = try ring.put(bytes: [1])
            if what == "counts the last message" { try require(try ring.takeBytes() == [1], "no message") }
            // They sleep in this order, in which the kernel wakes them: the first one is killed with what it has to pass on.
            let joiners = try (0..<4).map { index in
                let joiner = try ForkedProcess {
                    if index == 0 { try require(laboratory_die_at_wake() == 0, "no filter") }
                    try require(try ring.waitUntilFinished(until: .never) == .done, "join")
                }
                try waitFor("a joiner") { isAsleep(joiner.pid) }
                return joiner
            }
            let killed = try ForkedProcess {
                try require(laboratory_die_at_wake() == 0, "no filter")
                if what == "counts the last message" { _ = try ring.countAsDealtWith() }
                ring.raise(Ring.closed, waking: Ring.Offset.joiners)
            }
            for process in [killed, joiners[0]] {
                let status = try process.join()
                try require(status == SIGSYS, "who was to be killed ended with \(status)")
            }
            for joiner in joiners.dropFirst() {
                let status = try joiner.join()
                try require(status == 0, "a joiner ended with \(status)")
            }
        }
    }

    @Test func `who counts the last message that was taken while the ring is closed wakes those who wait`() async throws
    {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            for _ in 0..<5 { _ = try ring.put(bytes: [1]) }
            _ = try ring.takeBytes()
            let joiner = try ForkedProcess {
                try require(try ring.waitUntilFinished(until: .never) == .done, "join")
            }
            try waitFor("the joiner") { isAsleep(joiner.pid) }
            let word = SharedWord(ring.base, offset: Ring.Offset.joiners)
            let isCounted = try ring.countAsDealtWith {
                // Five were left. Now what was not taken counts no more, and the joiner waits for this one.
                ring.shutDown(now: true)
                try? waitFor("the joiner") { word.load() == Ring.waiting && isAsleep(joiner.pid) }
            }
            try require(isCounted && ring.unfinished == 0, "\(ring.unfinished) are left")
            let status = try joiner.join()
            try require(status == 0, "the joiner ended with \(status)")
        }
    }
}
