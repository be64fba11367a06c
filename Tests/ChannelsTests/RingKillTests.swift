// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingChannels
import MultiprocessingPrimitives
import Synchronization
import Testing

/// Producers and consumers of one ring that are killed at random moments, and the books that they keep in shared memory.
private final class Massacre {
    static let producers = 4
    static let consumers = 4
    static let most = 2 << 20
    let ring: TestRing
    let books: MemoryRegion
    private var processes: [ForkedProcess] = []
    private var generator: SeededGenerator
    /// What consumers were at when they were killed: only those messages may be missing.
    private var atDeath: Set<UInt64> = []

    init(seed: UInt64, capacity: Int?) throws {
        generator = SeededGenerator(seed: seed)
        ring = try TestRing(capacity: capacity)
        books = try MemoryRegion(size: 4096 + Self.producers * Self.most, name: "mp-test")
    }

    /// How far a worker has got; producers first: the number of the message it is putting or has put last.
    func progress(_ worker: Int) -> SharedWord { SharedWord(books.base, offset: worker * 64) }
    func watched(_ worker: Int) -> SharedWord { SharedWord(books.base, offset: worker * 64 + 8) }
    /// Consumers: the message that they may have taken and have not entered (`name`); 0: none. Set when it is found, before it is taken.
    func taking(_ worker: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (books.base + worker * 64 + 16).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    static func name(_ producer: Int, _ number: Int) -> UInt64 { UInt64(producer + 1) << 32 | UInt64(number) }

    /// Whether message `number` of `producer` was put for sure (bit 0), and how often it was received (bits 1 and up).
    func entry(_ producer: Int, _ number: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
        (books.base + 4096 + producer * Self.most + number).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    func step(_ worker: Int) {
        progress(worker).add(1)
        if watched(worker).load() != 0 { progress(worker).wake(1) }
    }

    /// The bytes of a message: who, which, and a length and filling that follow from that.
    static func size(_ number: Int) -> Int { number % 97 == 0 ? 20_000 : 16 + number % 150 }

    func produce(_ worker: Int) throws {
        var bytes = [UInt8](repeating: 0, count: 32_768)
        while true {
            step(worker)
            let number = Int(progress(worker).load())
            guard number < Self.most else {
                pause()
                continue
            }
            let size = Self.size(number)
            bytes.withUnsafeMutableBytes { bytes in
                bytes.storeBytes(of: UInt64(worker), as: UInt64.self)
                bytes.storeBytes(of: UInt64(number), toByteOffset: 8, as: UInt64.self)
                for index in 16..<size { bytes[index] = UInt8(truncatingIfNeeded: number &+ index) }
            }
            var descriptors: [Int32] = []
            if number.isMultiple(of: 50) { descriptors = [mp_eventfd(UInt32(number))] }
            let outcome = try bytes.withUnsafeBytes {
                try ring.ring.put(
                    UnsafeRawBufferPointer(rebasing: $0[..<size]),
                    descriptors: descriptors,
                    until: .never
                )
            }
            guard outcome == .done else { throw LaboratoryFailure(description: "put: \(outcome)") }
            entry(worker, number).pointee.bitwiseOr(1, ordering: .relaxed)
            for descriptor in descriptors { close(descriptor) }
        }
    }

    /// Takes a message, checks it against what its producer must have written, and enters it.
    func consume(_ worker: Int, _ last: inout [Int], until deadline: Deadline = .never) throws -> Bool {
        var failure: String?
        var descriptors: [Int32] = []
        var (producer, number) = (0, 0)
        let outcome = try ring.ring.take(until: deadline, descriptors: &descriptors) { bytes in
            guard bytes.count >= 16 else { return failure = "a message of \(bytes.count) bytes" }
            producer = Int(bytes.loadUnaligned(as: UInt64.self))
            number = Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            guard producer < Self.producers, number < Self.most, bytes.count == Self.size(number) else {
                return failure = "torn: \(producer) \(number)"
            }
            if worker >= 0 {
                taking(worker).pointee.store(Self.name(producer, number), ordering: .sequentiallyConsistent)
            }
            for index in 16..<bytes.count where bytes[index] != UInt8(truncatingIfNeeded: number &+ index) {
                failure = "torn at \(index)"
            }
        }
        guard outcome == .done else { return false }
        if let failure { throw LaboratoryFailure(description: failure) }
        try require(number > last[producer], "message \(number) of \(producer) after \(last[producer])")
        last[producer] = number
        try require(
            descriptors.count == (number.isMultiple(of: 50) ? 1 : 0),
            "\(descriptors.count) descriptors with \(number)"
        )
        if let descriptor = descriptors.first {
            var value: UInt64 = 0
            read(descriptor, &value, 8)
            close(descriptor)
            try require(value == UInt64(number), "the descriptor of \(value) with \(number)")
        }
        let before = entry(producer, number).pointee.wrappingAdd(2, ordering: .relaxed).oldValue
        try require(before < 2, "message \(number) of \(producer) was received twice")
        if worker >= 0 {
            taking(worker).pointee.store(0, ordering: .sequentiallyConsistent)
            step(worker)
        }
        return true
    }

    private func start(_ worker: Int) throws -> ForkedProcess {
        try ForkedProcess { [self] in
            do {
                if worker < Self.producers { try produce(worker) }
                var last = [Int](repeating: -1, count: Self.producers)
                while true { _ = try consume(worker, &last) }
            } catch {
                var text = "worker \(worker): \(error)\n"
                _ = text.withUTF8 { write(2, $0.baseAddress, $0.count) }
                throw error
            }
        }
    }

    private func destroy(_ worker: Int) throws {
        kill(processes[worker].pid, SIGKILL)
        let status = try processes[worker].join()
        try require(status == SIGKILL, "worker \(worker) ended by itself: \(status)")
        let message = taking(worker).pointee.exchange(0, ordering: .sequentiallyConsistent)
        if message != 0 { atDeath.insert(message) }
    }

    func run(kills: Int) throws {
        let all = Self.producers + Self.consumers
        for worker in 0..<all { processes.append(try start(worker)) }
        let never = watched(all)
        for kill in 1...kills {
            let victim = Int.random(in: 0..<all, using: &generator)
            let moment = Deadline(nanoseconds: mp_now() + Int64.random(in: 0..<2_000_000, using: &generator))
            while never.wait(while: 0, until: moment) != .timedOut {}
            try destroy(victim)
            processes[victim] = try start(victim)
            guard kill.isMultiple(of: 20) else { continue }
            Laboratory.signOfLife()
            for worker in 0..<all { try awaitProgress(of: worker, after: victim) }
        }
        for worker in 0..<all { try destroy(worker) }
        Laboratory.signOfLife()
        try drainAndCheck()
    }

    private func awaitProgress(of worker: Int, after victim: Int) throws {
        let before = progress(worker).load()
        let deadline = Deadline(timeout: .seconds(40))
        watched(worker).store(1)
        defer { watched(worker).store(0) }
        while progress(worker).load() == before {
            let result = progress(worker).wait(while: before, until: deadline)
            try require(result != .timedOut, "worker \(worker) does not get on after \(victim) was killed")
        }
    }

    private func drainAndCheck() throws {
        var last = [Int](repeating: -1, count: Self.producers)
        while try consume(-1, &last, until: .passed) {}
        var put = 0
        for producer in 0..<Self.producers {
            for number in 0..<min(Self.most, Int(progress(producer).load()) + 1) {
                let value = entry(producer, number).pointee.load(ordering: .relaxed)
                put += Int(value & 1)
                let mayBeMissing = atDeath.contains(Self.name(producer, number))
                try require(
                    value != 1 || mayBeMissing,
                    "message \(number) of \(producer) is missing, and nobody died with it"
                )
            }
        }
        try require(put > 1000, "only \(put) messages were put")
    }
}

extension RingTests {
    @Test(.timeLimit(.minutes(30)), arguments: [(UInt64(1), 16, 1000), (2, 16, 250), (3, 1, 250), (4, 10_000, 250)])
    func `four producers and four consumers survive kills, and no message is lost, doubled, torn or out of order`(
        seed: UInt64,
        capacity: Int,
        kills: Int
    ) async throws {
        try await Laboratory.run {
            try Massacre(seed: seed, capacity: capacity).run(kills: kills)
        }
    }

    @Test func `who counts and who waits for the count is killed, and nobody else waits for ever`() async throws {
        try await Laboratory.run {
            var generator = SeededGenerator(seed: 17)
            for round in 0..<150 {
                if round.isMultiple(of: 10) { Laboratory.signOfLife() }
                let ring = try TestRing(capacity: nil).ring
                let words = try SharedWords()
                let most = 40
                for _ in 0..<most { _ = try ring.put(bytes: [1]) }
                while try ring.takeBytes() != nil {}
                let joiners = try (0..<4).map { _ in
                    try ForkedProcess { try require(try ring.waitUntilFinished(until: .never) == .done, "join") }
                }
                try waitFor("the joiners") { joiners.allSatisfy { isAsleep($0.pid) } }
                var counters = try (0..<2).map { index in
                    try ForkedProcess {
                        words[index].add(1)
                        while try ring.countAsDealtWith() {}
                    }
                }
                try waitFor("a counter") { words[0].load() + words[1].load() > 0 }
                for _ in 0..<Int.random(in: 0..<200, using: &generator) { mp_pause() }
                // One who waits, and one who counts, at any moment.
                try joiners[0].destroy()
                try counters.removeFirst().destroy()
                for counter in counters { try counter.join() }
                while try ring.countAsDealtWith() {}
                for joiner in joiners.dropFirst() {
                    let status = try joiner.join()
                    try require(status == 0, "a joiner ended with \(status)")
                }
            }
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(30)))
struct RingTests {
    @Test func `a backlog of many sizes comes out as it went in, and its memory is given back`() throws {
        let ring = try TestRing(capacity: nil).ring
        var generator = SeededGenerator(seed: 5)
        var expected: [(Int, UInt8)] = []
        var next = 0
        for round in 0..<20_000 {
            // More goes in than comes out at first, then the reverse.
            if Int.random(in: 0..<10, using: &generator) < (round < 10_000 ? 7 : 3) {
                let size = Int.random(in: 0..<(round.isMultiple(of: 50) ? 200_000 : 600), using: &generator)
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: next), count: size)
                let outcome = try bytes.withUnsafeBytes { try ring.put($0, until: .passed) }
                try require(outcome == .done, "\(outcome)")
                expected.append((size, UInt8(truncatingIfNeeded: next)))
                next += 1
            } else if !expected.isEmpty {
                let (size, value) = expected.removeFirst()
                var descriptors: [Int32] = []
                var isRight = false
                _ = try ring.take(until: .passed, descriptors: &descriptors) {
                    isRight = $0.count == size && $0.allSatisfy { $0 == value }
                }
                try require(isRight, "message of \(size) bytes in round \(round)")
            }
            try require(ring.count == expected.count, "count")
        }
    }
}
