// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

@testable import MultiprocessingChannels

/// What happens when the way of descriptors beside a ring is full.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct RingDescriptorTests {
    /// Takes a message and checks the descriptor that came with it: an event descriptor with the number of the message.
    private static func take(_ ring: Ring, _ number: Int, until deadline: Deadline = .passed) throws {
        var descriptors: [Int32] = []
        var byte: UInt8 = 0
        let outcome = try ring.take(until: deadline, descriptors: &descriptors) { byte = $0.first ?? 0 }
        defer { for descriptor in descriptors { close(descriptor) } }
        try require(outcome == .done && descriptors.count == 1, "\(outcome), \(descriptors.count) descriptors")
        var value: UInt64 = 0
        read(descriptors[0], &value, 8)
        try require(value == UInt64(number) && byte == UInt8(truncatingIfNeeded: number), "\(value) for \(number)")
    }

    /// Puts a message with an event descriptor that has its number.
    private static func put(_ ring: Ring, _ number: Int, until deadline: Deadline) throws -> RingOutcome {
        let descriptor = mp_eventfd(UInt32(number))
        defer { close(descriptor) }
        return try ring.put(bytes: [UInt8(truncatingIfNeeded: number)], descriptors: [descriptor], until: deadline)
    }

    @Test func `a put that finds the lane full sleeps until descriptors are received, and each receipt lets one go on`()
        async throws
    {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            let words = try SharedWords()
            // The head that producers know is an old one then.
            for number in 1...10 { try require(try Self.put(ring, number, until: .never) == .done, "put") }
            for number in 1...10 { try Self.take(ring, number) }
            let producer = try ForkedProcess {
                for number in 1...1000 {
                    try require(try Self.put(ring, number, until: .never) == .done, "put")
                    words[0].store(UInt32(number))
                }
            }
            try waitFor("sleep") { words[0].load() > 10 && isAsleep(producer.pid) }
            let ahead = words[0].load()
            try require(ahead < 1000 && ring.count == Int(ahead), "\(ahead) put")
            for number in 1...1000 {
                try Self.take(ring, number, until: .never)
                // Not only when the next is taken.
                try waitFor("room") { words[0].load() >= min(1000, ahead + UInt32(number)) }
            }
            let status = try producer.join()
            try require(status == 0, "\(status)")
        }
    }

    @Test func `a put that found room in the ring and none in the lane is woken when descriptors are received`()
        async throws
    {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            let words = try SharedWords()
            let producer = try ForkedProcess {
                for number in 1...10_000 {
                    try require(try Self.put(ring, number, until: .never) == .done, "put")
                    words[0].store(UInt32(number))
                }
            }
            func waitForSleep() throws {
                try waitFor("sleep") { ring.space.load() == Ring.waiting && isAsleep(producer.pid) }
            }
            for _ in 1...100 {
                try waitForSleep()
                let before = words[0].load()
                // As `finish` does it, with time between the steps: the message is taken, and its descriptor is still in the lane.
                var (message, descriptors) = (FoundMessage(), [Int32]())
                try require(try ring.find(&message, until: .passed) == .done, "no message")
                ring.publish(message.next, in: ring.head, waking: Ring.Offset.space)
                // Woken in vain, it sleeps again, and no head will move for it any more.
                try waitForSleep()
                try require(words[0].load() == before, "there was room in the lane")
                try ring.receiveDescriptors(of: &message, into: &descriptors)
                ring.leave(Ring.Offset.consumers)
                for descriptor in descriptors { close(descriptor) }
                try waitFor("the put") { words[0].load() > before }
            }
            try producer.destroy()
        }
    }

    @Test func `a put without waiting says that there is no room, and one that waits is cancelled`() throws {
        let ring = try TestRing(capacity: nil).ring
        var count = 0
        while try Self.put(ring, count, until: .passed) == .done { count += 1 }
        #expect(count > 20 && ring.count == count)
        #expect(try Self.put(ring, count, until: Deadline(timeout: .milliseconds(20))) == .timedOut)
        let cancellation = WaitCancellation()
        let outcome = Outcome()
        try Thread.start(name: "mp-test") {
            outcome.set(
                try? [UInt8](repeating: 1, count: 1).withUnsafeBytes {
                    try ring.put($0, descriptors: [0], until: .never, cancellation: cancellation)
                }
            )
        }
        try waitFor("the producer") { ring.producersAreBusy }
        cancellation.cancel()
        try waitFor("the cancellation") { outcome.value != nil }
        #expect(outcome.value == .cancelled)
        for number in 0..<count { try Self.take(ring, number) }
        #expect(try Self.put(ring, 7, until: .passed) == .done)
    }

    @Test func `what the dead left in the lane of a queue is dropped, although the head that producers know is old`()
        throws
    {
        let ring = try TestRing(capacity: nil).ring
        for number in 1...3 { #expect(try Self.put(ring, number, until: .passed) == .done) }
        for number in 1...3 { try Self.take(ring, number) }
        while case .sent = try ring.lane.send([0], ticket: 1) {}
        #expect(try Self.put(ring, 9, until: .passed) == .done)
        try Self.take(ring, 9)
    }

    @Test func `in a connection only the other side drops them, and nothing of the other direction is lost`() throws {
        let file = try RingFile()
        var sockets: [Int32] = [-1, -1]
        try require(mp_socketpair(&sockets) == 0, "no sockets")
        let bell = mp_eventfd(0)
        let half = file.size / 2
        // Each side of each direction, with the one socket of that side.
        func ring(_ direction: Int, side: Int, isNew: Bool) throws -> Ring {
            let lane = DescriptorLane(sender: sockets[side], receiver: sockets[side])
            let range = direction * half..<(direction + 1) * half
            return try Ring(file, range, bell: bell, lane: lane, peer: sockets[side], isNew: isNew)
        }
        let (out, outThere) = (try ring(0, side: 0, isNew: true), try ring(0, side: 1, isNew: false))
        let (back, backHere) = (try ring(1, side: 1, isNew: true), try ring(1, side: 0, isNew: false))
        for number in 1...5 { #expect(try Self.put(back, number, until: .passed) == .done) }
        // Producers that were killed before their messages existed.
        while case .sent = try out.lane.send([0], ticket: 1) {}
        #expect(try Self.put(out, 6, until: .passed) == .timedOut)
        // Whoever looks there drops them, and rings for tasks that wait for room here.
        var rings: UInt64 = 0
        try require(read(bell, &rings, 8) == 8, "nobody was asked to drop them")
        out.markWaitingForSpace()
        #expect(try outThere.takeBytes(until: Deadline(timeout: .milliseconds(1))) == nil)
        #expect(read(bell, &rings, 8) == 8)
        // Once more: whoever waits there drops them, and this side's put goes on.
        while case .sent = try out.lane.send([0], ticket: 1) {}
        try Thread.start(name: "mp-test") { _ = try? Self.put(out, 7, until: .never) }
        try Self.take(outThere, 7, until: Deadline(timeout: .seconds(60)))
        for number in 1...5 { try Self.take(backHere, number) }
        for number in sockets + [bell] { close(number) }
    }

    @Test func `a message with descriptors for a side that is gone is an end, and no error`() throws {
        let file = try RingFile()
        var sockets: [Int32] = [-1, -1]
        try require(mp_socketpair(&sockets) == 0, "no sockets")
        let bell = mp_eventfd(0)
        let lane = DescriptorLane(sender: sockets[0], receiver: sockets[0])
        // Nobody says so in the ring: as when the other side was killed and its end is not heard of yet.
        let ring = try Ring(file, 0..<file.size, bell: bell, lane: lane, peer: sockets[0], isNew: true)
        #expect(try Self.put(ring, 1, until: .passed) == .done)
        close(sockets[1])
        #expect(try Self.put(ring, 2, until: .passed) == .abandoned)
        #expect(try Self.put(ring, 3, until: .never) == .abandoned)
        for number in [sockets[0], bell] { close(number) }
    }

    @Test func `more descriptors on their way than a user may have are waited for, and are an error where none is`()
        async throws
    {
        try await Laboratory.run {
            let child = try ForkedProcess {
                let ring = try TestRing(capacity: nil).ring
                var limit = rlimit(rlim_cur: 40, rlim_max: 40)
                try require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, "no limit")
                // The limit does not hold for root.
                if getuid() == 0 { try require(setgid(65534) == 0 && setuid(65534) == 0, "user") }
                var count = 0
                while try Self.put(ring, count, until: .passed) == .done {
                    count += 1
                    try require(count < 200, "no limit")
                }
                for number in 0..<count { try Self.take(ring, number) }
                try require(try Self.put(ring, 1, until: .passed) == .done, "put")
                try Self.take(ring, 1)
                // Somebody else's.
                var sockets: [Int32] = [-1, -1]
                try require(mp_socketpair(&sockets) == 0, "no sockets")
                let other = DescriptorLane(sender: sockets[0], receiver: sockets[1])
                while case .sent = try other.send([0], ticket: 1) {}
                do {
                    _ = try Self.put(ring, 1, until: .never)
                    throw LaboratoryFailure(description: "it was put")
                } catch let error as SystemError {
                    try require(error.code == ETOOMANYREFS, "\(error)")
                }
            }
            let status = try child.join()
            try require(status == 0, "\(status)")
        }
    }
}

/// An outcome that another thread sets.
private final class Outcome: Sendable {
    private let place = PlainMutex<RingOutcome?>(nil)

    var value: RingOutcome? { place.withLock { $0 } }

    func set(_ value: RingOutcome?) {
        place.withLock { $0 = value }
    }
}
