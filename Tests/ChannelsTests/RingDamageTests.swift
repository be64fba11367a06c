// SPDX-License-Identifier: Apache-2.0

import Glibc
import Laboratory
import MultiprocessingPrimitives
import Synchronization
import Testing

@testable import MultiprocessingChannels

extension RingTests {
    /// What accidents do to shared memory must not make others wait, with a lock held, for something that never comes.
    @Test func `records that lead to one another are damage, not a way without end`() throws {
        let ring = try TestRing(capacity: nil).ring
        try #require(try ring.put(bytes: [UInt8](repeating: 7, count: 100)) == .done)
        let head = RingPosition(word: ring.head.pointee.load(ordering: .relaxed))
        let offset = head.offset * RingPosition.unit
        let header = RecordKind.skip << 56 | UInt64(head.offset)
        try ring.memory.address(offset, upTo: offset + RingPosition.unit).storeBytes(of: header, as: UInt64.self)
        #expect { try ring.takeBytes() } throws: { ($0 as? SystemError)?.code == EBADMSG }
        // The lock was given back.
        #expect(!ring.consumers.isLocked)
    }

    @Test func `what the slots of large messages say of themselves is not believed when it cannot be`() throws {
        let ring = try TestRing(capacity: nil).ring
        let large = [UInt8](repeating: 7, count: 1 << 20)
        try #require(try ring.put(bytes: large) == .done)
        for slot in 0..<16 {
            let base = ring.base + 1024 + 128 * slot
            (base + 64).storeBytes(of: UInt64.max - 3, as: UInt64.self)
            (base + 80).storeBytes(of: UInt64.max - 3, as: UInt64.self)
        }
        #expect(ring.slots.outstandingBytes(head: RingPosition(word: ring.head.pointee.load(ordering: .relaxed))) > 0)
        #expect(try ring.takeBytes()?.count == large.count)
    }

    @Test(arguments: [Ring.Offset.producers, Ring.Offset.consumers])
    func `who takes a lock from the dead forgets whom they were about to wake for`(side: Int) async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            let isProducer = side == Ring.Offset.producers
            let waking = SharedWord(
                ring.base,
                offset: isProducer ? Ring.Offset.wakingProducer : Ring.Offset.wakingConsumer
            )
            if !isProducer { _ = try ring.put(bytes: [1]) }
            let dead = try ForkedProcess {
                _ = try RobustLock(ring.base + side).acquire()
                waking.store(UInt32(getpid()))
            }
            try dead.join()
            try require(waking.load() == UInt32(dead.pid), "nothing is left of it")
            if isProducer {
                try require(try ring.put(bytes: [1], until: .passed) == .done, "put")
            } else {
                try require(try ring.takeBytes() == [1], "take")
            }
            try require(waking.load() == 0, "its number stands there for ever")
        }
    }
}
