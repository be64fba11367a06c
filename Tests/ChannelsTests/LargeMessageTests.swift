// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

@testable import MultiprocessingChannels

/// Messages whose bytes lie beside the ring.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct LargeMessageTests {
    /// What fills a message of that number.
    private static func bytes(_ number: Int, _ size: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size)
    }

    private static let large = RingSlots.threshold

    @Test func `messages of sizes around the threshold come out as they went in, with descriptors too`() throws {
        let ring = try TestRing(capacity: nil).ring
        for size in [Self.large - 1, Self.large, Self.large + 1, 1 << 20, 3_000_001, 40 << 20] {
            #expect(try ring.put(bytes: Self.bytes(size, size)) == .done)
            #expect(try ring.takeBytes() == Self.bytes(size, size))
            let event = mp_eventfd(UInt32(size))
            #expect(try ring.put(bytes: Self.bytes(1, size), descriptors: [event]) == .done)
            close(event)
            var (descriptors, isRight) = ([Int32](), false)
            let outcome = try ring.take(until: .passed, descriptors: &descriptors) {
                isRight = $0.count == size && $0.allSatisfy { $0 == 1 }
            }
            var value: UInt64 = 0
            read(try #require(descriptors.first), &value, 8)
            close(descriptors[0])
            #expect(outcome == .done && isRight && value == UInt64(size))
        }
    }

    @Test func `where there is no slot left messages go through the ring, in order`() throws {
        let ring = try TestRing(capacity: nil).ring
        for number in 0..<50 { #expect(try ring.put(bytes: Self.bytes(number, Self.large + number)) == .done) }
        #expect(ring.count == 50)
        for number in 0..<50 { #expect(try ring.takeBytes() == Self.bytes(number, Self.large + number)) }
        #expect(ring.isEmpty)
    }

    @Test func `others put and take while a large message is written and read`() throws {
        let ring = try TestRing(capacity: nil).ring
        let outcome = try ring.put(upTo: Self.large, until: .never) { memory in
            memory.initializeMemory(as: UInt8.self, repeating: 9, count: Self.large)
            // With the producers' lock held here this would be an error.
            let other = try? ring.put(bytes: [1])
            #expect(other == .done)
            return Self.large
        }
        #expect(outcome == .done)
        #expect(try ring.takeBytes() == [1])
        #expect(try ring.put(bytes: [2]) == .done)
        var descriptors: [Int32] = []
        _ = try ring.take(until: .passed, descriptors: &descriptors) { bytes in
            #expect(bytes.count == Self.large && ring.count == 1)
            let other = try? ring.takeBytes()
            #expect(other == [2])
        }
        #expect(ring.isEmpty)
    }

    @Test func `memory is used again, and not kept without bound`() throws {
        let test = try TestRing(capacity: nil)
        func pages() throws -> Int {
            var status = stat()
            try require(fstat(test.file.descriptor, &status) == 0, "fstat")
            return Int(status.st_blocks) * 512
        }
        for number in 0..<200 {
            _ = try test.ring.put(bytes: Self.bytes(number, 1 << 20))
            #expect(try test.ring.takeBytes()?.count == 1 << 20)
        }
        var used = try pages()
        #expect(used < 4 << 20, "\(used)")
        for _ in 0..<3 {
            _ = try test.ring.put(bytes: Self.bytes(1, 200 << 20))
            #expect(try test.ring.takeBytes()?.count == 200 << 20)
        }
        used = try pages()
        #expect(used < 80 << 20, "\(used)")
        for number in 0..<16 { _ = try test.ring.put(bytes: Self.bytes(number, 20 << 20)) }
        while try test.ring.takeBytes() != nil {}
        used = try pages()
        #expect(used < 200 << 20, "\(used)")
    }

    @Test func `a limit of bytes counts what lies in slots, and a single message may be larger`() throws {
        let file = try RingFile()
        var sockets: [Int32] = [-1, -1]
        try require(mp_socketpair(&sockets) == 0, "no sockets")
        let bell = mp_eventfd(0)
        defer { for number in sockets + [bell] { close(number) } }
        let lane = DescriptorLane(sender: sockets[0], receiver: sockets[1])
        let ring = try Ring(file, 0..<file.size, bell: bell, lane: lane, isNew: true, byteLimit: 4 << 20)
        #expect(try ring.put(bytes: Self.bytes(1, 9 << 20), until: .passed) == .done)
        #expect(try ring.put(bytes: [1], until: .passed) == .timedOut)
        #expect(try ring.takeBytes()?.count == 9 << 20)
        var count = 0
        while try ring.put(bytes: Self.bytes(count, 1 << 20), until: .passed) == .done { count += 1 }
        #expect(count == 3 || count == 4)
        #expect(try ring.put(bytes: Self.bytes(1, 1 << 20), until: Deadline(timeout: .milliseconds(5))) == .timedOut)
        #expect(try ring.takeBytes() == Self.bytes(0, 1 << 20))
        #expect(try ring.put(bytes: Self.bytes(count, 1 << 20), until: .passed) == .done)
        for number in 1...count { #expect(try ring.takeBytes() == Self.bytes(number, 1 << 20)) }
    }

    @Test func `whoever is killed with a slot leaves it to others`() async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            let words = try SharedWords()
            // Sixteen killed while they write, sixteen while they read: more than slots.
            for isReader in [false, true] {
                for number in 0..<20 {
                    words[0].store(0)
                    if isReader { _ = try ring.put(bytes: Self.bytes(number, Self.large)) }
                    let victim = try ForkedProcess {
                        if isReader {
                            var descriptors: [Int32] = []
                            _ = try ring.take(until: .never, descriptors: &descriptors) { _ in
                                words[0].store(1)
                                while true { pause() }
                            }
                        }
                        _ = try ring.put(upTo: Self.large, until: .never) { _ in
                            words[0].store(1)
                            while true { pause() }
                        }
                    }
                    try waitFor("the victim") { words[0].load() == 1 }
                    try victim.destroy()
                    try require(ring.isEmpty, "\(ring.count) messages")
                }
            }
            let head = ring.headPosition
            try require(ring.slots.outstandingBytes(head: head) == 0, "slots are in use")
            for number in 0..<16 {
                let slot = ring.slots.borrow(Self.large, head: head)
                try require(slot != nil, "no slot \(number)")
            }
        }
    }

    @Test func `random sizes by several processes, some of which are killed, come whole`() async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: 30).ring
            let words = try SharedWords()
            var generator = SeededGenerator(seed: 31)
            // Filled and checked by the C library: byte by byte it would take so long that dozens of such processes, on few processors, hardly got on.
            func producer(_ index: Int) throws -> ForkedProcess {
                try ForkedProcess {
                    var generator = SeededGenerator(seed: UInt64(index))
                    while true {
                        let size = Int.random(in: 1...3 * Self.large, using: &generator)
                        _ = try ring.put(upTo: size, until: .never) { memory in
                            memset(memory, Int32(size & 0xff), size)
                            return size
                        }
                        words[index].add(1)
                    }
                }
            }
            func isWhole(_ bytes: [UInt8]) -> Bool {
                bytes.withUnsafeBytes { bytes in
                    guard let start = bytes.baseAddress, bytes[0] == UInt8(truncatingIfNeeded: bytes.count) else {
                        return false
                    }
                    return memcmp(start, start + 1, bytes.count - 1) == 0
                }
            }
            func consumer(_ index: Int) throws -> ForkedProcess {
                try ForkedProcess {
                    while let bytes = try ring.takeBytes(until: .never) {
                        guard isWhole(bytes) else {
                            words[20].add(1)
                            break
                        }
                        words[index].add(1)
                    }
                }
            }
            var processes = try (0..<4).map { $0 < 2 ? try producer($0) : try consumer($0) }
            for kill in 0..<150 {
                let victim = Int.random(in: 0..<4, using: &generator)
                let moment = Deadline(nanoseconds: mp_now() + Int64.random(in: 0..<3_000_000, using: &generator))
                while words[30].wait(while: 0, until: moment) != .timedOut {}
                try processes[victim].destroy()
                processes[victim] = victim < 2 ? try producer(victim) : try consumer(victim)
                guard kill.isMultiple(of: 15) else { continue }
                for index in 0..<4 {
                    Laboratory.signOfLife()
                    let before = words[index].load()
                    try waitFor("\(index) to get on") { words[index].load() != before }
                }
            }
            for process in processes { try process.destroy() }
            Laboratory.signOfLife()
            try require(words[20].load() == 0, "torn messages")
            while let bytes = try ring.takeBytes() { try require(isWhole(bytes), "torn") }
            let head = ring.headPosition
            try require(ring.slots.outstandingBytes(head: head) == 0, "slots are in use")
        }
    }
}
