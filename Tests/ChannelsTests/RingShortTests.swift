// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

@testable import MultiprocessingChannels

/// Short messages, which lie in the ring and beside the tail, and how long a side that waits looks away.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct RingShortTests {
    /// The bytes of message `number`: a length from 0 to 55, and a filling that no other message near by has.
    private static func bytes(_ number: Int) -> [UInt8] {
        let size = number &* 37 % 56
        return (0..<size).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
    }

    @Test func `the newest message and those before it are what was put, whatever their sizes`() throws {
        let ring = try TestRing(capacity: nil).ring
        var (next, taken) = (0, 0)
        // One at a time, two, three, so that the message beside the tail is the one to be taken, and is not.
        for round in 0..<3000 {
            for _ in 0...(round % 3) {
                try require(try ring.put(bytes: Self.bytes(next)) == .done, "put")
                next += 1
            }
            while let bytes = try ring.takeBytes() {
                try require(bytes == Self.bytes(taken), "message \(taken): \(bytes)")
                taken += 1
            }
            try require(taken == next, "\(taken) of \(next)")
        }
    }

    @Test func `what a killed producer left beside the tail is not taken for the next message of that place`() throws {
        // With a descriptor, and in a slot: records as long as that of a message of 24 bytes.
        for isLarge in [false, true] {
            let ring = try TestRing(capacity: nil).ring
            let left = 24
            // As by one who was killed right before the tail would have been stored.
            (ring.base + Ring.Offset.repeated).initializeMemory(as: UInt8.self, repeating: 0xee, count: left)
            let mark = UInt64(1) << 63 | UInt64(left) << 32
            ring.base.storeBytes(of: mark, toByteOffset: Ring.Offset.mark, as: UInt64.self)
            let event = mp_eventfd(1)
            defer { close(event) }
            let bytes = [UInt8](repeating: 1, count: isLarge ? RingSlots.threshold : 8)
            try require(try ring.put(bytes: bytes, descriptors: isLarge ? [] : [event]) == .done, "put")
            var descriptors: [Int32] = []
            var received: [UInt8] = []
            let outcome = try ring.take(until: .passed, descriptors: &descriptors) { received = Array($0) }
            for descriptor in descriptors { close(descriptor) }
            #expect(outcome == .done && received == bytes && descriptors.count == (isLarge ? 0 : 1))
        }
    }

    @Test func `a process that takes while another one puts sees no message in part`() async throws {
        try await Laboratory.run {
            // Of any number, so that the newest is often the one to be taken while the next one comes.
            let ring = try TestRing(capacity: nil).ring
            let count = 100_000
            let producer = try ForkedProcess {
                for number in 0..<count {
                    try require(try ring.put(bytes: Self.bytes(number)) == .done, "put")
                    // Now in step with the other side, now ahead of it.
                    if number & 1024 == 0 { while ring.count > 1 { sched_yield() } }
                }
            }
            for number in 0..<count {
                if number.isMultiple(of: 10_000) { Laboratory.signOfLife() }
                let bytes = try ring.takeBytes(until: .never)
                try require(bytes == Self.bytes(number), "message \(number): \(bytes ?? [])")
            }
            let status = try producer.join()
            try require(status == 0, "\(status)")
        }
    }

    @Test func `whoever waits for answers comes to look at once, and whoever takes a stream looks away`() {
        for start in 0...UInt32(16) {
            var pace = start
            // After so long even an answer is there with the first look.
            for _ in 0..<5 where pace > 1 { pace = Ring.nextPace(pace, found: 1) }
            #expect(pace <= 1)
            for _ in 0..<5 { pace = Ring.nextPace(pace, found: 3) }
            #expect(pace == 16)
        }
    }
}
