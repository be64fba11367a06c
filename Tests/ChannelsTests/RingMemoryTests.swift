// SPDX-License-Identifier: Apache-2.0

import Glibc
import Laboratory
import MultiprocessingPrimitives
import Synchronization
import Testing

@testable import MultiprocessingChannels

extension RingTests {
    @Test(arguments: [false, true], [(5000, 1000, 0), (80_000, 8, 3), (200, 50_000, 1)])
    func `a stream that is taken soon stays where its memory is warm, whether or not a put may wait`(
        waits: Bool,
        stream: (count: Int, size: Int, backlog: Int)
    ) throws {
        let test = try TestRing(capacity: nil)
        let bytes = [UInt8](repeating: 7, count: stream.size)
        for index in 0..<stream.count {
            try #require(try test.ring.put(bytes: bytes, until: waits ? .never : .passed) == .done)
            if index >= stream.backlog { try #require(try test.ring.takeBytes()?.count == stream.size) }
        }
        var status = stat()
        try #require(fstat(test.file.descriptor, &status) == 0)
        // Twice the 256 KiB in which the stream goes round: pages are given ahead.
        #expect(status.st_blocks * 512 <= 600 << 10, "\(status.st_blocks * 512 / 1024) KiB")
    }
    @Test func `a producer knows soon after a lap that the other side has followed`() throws {
        let ring = try TestRing(capacity: nil).ring
        var isKnown = 0
        for _ in 0..<40_000 {
            try #require(try ring.put(bytes: [1]) == .done)
            let tail = RingPosition(word: ring.tail.pointee.load(ordering: .relaxed))
            if RingPosition(word: ring.cachedHead).lap == tail.lap { isKnown += 1 }
            try #require(try ring.takeBytes() == [1])
        }
        // All but a page of messages, and the one that ends a lap, for each of the two laps.
        #expect(isKnown > 40_000 - 2 * 300, "\(isKnown)")
    }
}
