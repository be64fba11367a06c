// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import MultiprocessingChannels
import Testing

@testable import Multiprocessing

/// What a callback that is under way may still use when a connection or a queue is let go of.
@Suite(.timeLimit(.minutes(10)), .leavesNothing)
struct ChannelOwnershipTests {
    @Test func `the descriptors of a connection stay open as long as somebody may ring its bell`() async throws {
        try await isolated {
            var ring: Ring?
            var numbers: [Int32] = []
            do {
                let link = try RingLink.pair(duplex: true).0
                ring = link.outbound
                numbers = [link.bell.number, link.socket.number]
            }
            try checkRingsOnly(ring, numbers)
            ring = nil
            try check(!numbers.contains(where: isOpen), "\(numbers.filter(isOpen)) are open")
        }
    }

    @Test func `the descriptors of a queue stay open as long as somebody may ring its bell`() async throws {
        try await isolated {
            let before = Set((0..<100).filter(isOpen))
            var ring: Ring?
            var numbers: [Int32] = []
            do {
                let core = try QueueCore(capacity: 1)
                ring = core.ring
                numbers = (0..<100).filter { isOpen($0) && !before.contains($0) }
            }
            try checkEqual(numbers.count, 4)
            try checkRingsOnly(ring, numbers)
            ring = nil
            try check(!numbers.contains(where: isOpen), "\(numbers.filter(isOpen)) are open")
        }
    }

    /// Rings as the reactor does when the other end has gone, with strangers' files where closed descriptors were.
    private func checkRingsOnly(_ ring: Ring?, _ numbers: [Int32]) throws {
        try check(numbers.allSatisfy(isOpen), "\(numbers.filter { !isOpen($0) }) were closed")
        var strangers: [Int32] = []
        defer { for stranger in strangers { close(stranger) } }
        for _ in 0..<8 {
            let stranger = mp_memfd_create("test")
            strangers.append(stranger)
            try checkEqual(ftruncate(stranger, 64), 0)
        }
        ring?.abandon()
        for stranger in strangers {
            var first: UInt64 = 0
            try checkEqual(pread(stranger, &first, 8, 0), 8)
            try checkEqual(first, 0)
        }
    }
}

private func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }
