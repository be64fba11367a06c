// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// Results that travel through what can lose and damage bytes.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ResultFrameTests {
    private let frame = ResultFrame(
        epoch: 7,
        ticket: 1 << 40,
        nanoseconds: 12345,
        element: 3,
        threw: true,
        bytes: Array(0..<40)
    )

    @Test func `a frame is read as it was written`() throws {
        #expect(try ResultFrame(frame.encoded, epoch: 7) == frame)
        var whole = frame
        whole.element = nil
        whole.bytes = []
        #expect(try ResultFrame(whole.encoded, epoch: 7) == whole)
    }

    @Test func `a frame of another session is refused`() {
        #expect(throws: ResultFrame.Damaged.self) { try ResultFrame(frame.encoded, epoch: 8) }
    }

    @Test func `a frame that is cut short anywhere is refused`() {
        for count in 0..<frame.encoded.count {
            #expect(throws: ResultFrame.Damaged.self) { try ResultFrame(Array(frame.encoded[..<count]), epoch: 7) }
        }
    }

    @Test func `a frame with any bit changed is refused`() {
        for bit in 0..<frame.encoded.count * 8 {
            var bytes = frame.encoded
            bytes[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: ResultFrame.Damaged.self) { try ResultFrame(bytes, epoch: 7) }
        }
    }
}
