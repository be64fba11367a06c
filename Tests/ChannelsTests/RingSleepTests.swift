// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

@testable import MultiprocessingChannels

/// Who is about to sleep, one instruction before the kernel looks, while the other side is killed right after the store that matters: nobody wakes who does not sleep yet.
@Suite(.serialized, .timeLimit(.minutes(30)), .enabled(if: SteppedProcess.isPossible, "ptrace(2) is not allowed here"))
struct RingSleepTests {
    /// Who waits for what.
    enum Sleeper: CaseIterable, Codable {
        case consumer, producer, joiner

        var offset: Int {
            switch self {
            case .consumer: Ring.Offset.items
            case .producer: Ring.Offset.space
            case .joiner: Ring.Offset.joiners
            }
        }

        /// Throws unless the wait ends in time, as it must when `isOver` or not.
        func wait(_ ring: Ring, isOver: Bool) throws {
            let deadline = Deadline(timeout: .seconds(60))
            switch self {
            case .consumer:
                let bytes = try ring.takeBytes(until: deadline)
                try require(bytes == (isOver ? nil : [1]) && !deadline.hasPassed, "took \(String(describing: bytes))")
            case .producer:
                let outcome = try ring.put(bytes: [2], until: deadline)
                try require(outcome == (isOver ? .shut : .done) && !deadline.hasPassed, "put: \(outcome)")
            case .joiner:
                let outcome = try ring.waitUntilFinished(until: deadline)
                try require(outcome == .done && !deadline.hasPassed, "join: \(outcome)")
            }
        }
    }

    /// A ring on which the sleeper will wait; everything that is done here or by a fork was done once before, so that there is little to step through.
    private static func ring(for sleeper: Sleeper) throws -> Ring {
        Spinning.disable()
        let ring = try TestRing(capacity: 1).ring
        _ = try ring.put(bytes: [1])
        _ = try ring.takeBytes()
        _ = try ring.countAsDealtWith()
        if sleeper != .consumer { _ = try ring.put(bytes: [1]) }
        return ring
    }

    private static func kill(
        _ sleeper: Sleeper,
        isOver: Bool,
        _ act: (Ring) throws -> Void,
        when: (Ring) -> Bool
    )
        throws
    {
        let ring = try ring(for: sleeper)
        let waiting = try SteppedProcess { try sleeper.wait(ring, isOver: isOver) }
        try waiting.runToSleep(on: ring.base + sleeper.offset)
        let other = try SteppedProcess { try act(ring) }
        try require(try other.step { when(ring) } != nil, "the other side ended before its store")
        try other.destroy()
        try waiting.letGo()
        let status = try waiting.join()
        try require(status == 0, "it slept on: \(status)")
    }

    @Test(arguments: Sleeper.allCases)
    func `whoever is about to sleep finds what was stored by one who was killed right afterwards`(
        sleeper: Sleeper
    )
        async throws
    {
        try await Laboratory.run {
            let isEmpty = { (ring: Ring) in ring.count == 0 }
            switch sleeper {
            case .consumer:
                try Self.kill(sleeper, isOver: false, { _ = try $0.put(bytes: [1]) }, when: { $0.count == 1 })
            case .producer: try Self.kill(sleeper, isOver: false, { _ = try $0.takeBytes() }, when: isEmpty)
            case .joiner:
                try Self.kill(sleeper, isOver: false, { _ = try $0.countAsDealtWith() }, when: { $0.unfinished == 0 })
            }
        }
    }

    @Test(arguments: Sleeper.allCases)
    func `whoever is about to sleep learns of an end whose author was killed right after each step`(
        sleeper: Sleeper
    )
        async throws
    {
        try await Laboratory.run {
            switch sleeper {
            case .consumer:
                for step in [Ring.begun, Ring.ended] {
                    try Self.kill(sleeper, isOver: true, { $0.shutDown() }, when: { $0.state.load() & step != 0 })
                }
            case .producer: try Self.kill(sleeper, isOver: true, { $0.shutDown() }, when: \.isShut)
            case .joiner: try Self.kill(sleeper, isOver: true, { $0.shutDown(now: true) }, when: \.isClosed)
            }
        }
    }

    /// Steps a producer up to some instruction of its put, lets a consumer come to its sleep, and kills the producer right behind its store. Without a place, or where that comes after the store, the consumer comes
    /// after that. Returns how many instructions the producer had executed before, and whether the consumer slept.
    private static func killProducer(at place: Int?) throws -> (before: Int, slept: Bool) {
        let ring = try ring(for: .consumer)
        let producer = try SteppedProcess { _ = try ring.put(bytes: [1]) }
        var left = place ?? .max
        let before = try producer.step {
            defer { left -= 1 }
            return left == 0 || ring.count == 1
        }
        let consumer = try SteppedProcess { try Sleeper.consumer.wait(ring, isOver: false) }
        // No two puts take the same number of instructions: now and then one is over before its place.
        let sleeps = ring.count == 0
        if sleeps {
            try consumer.runToSleep(on: ring.base + Ring.Offset.items)
            try producer.step { ring.count == 1 }
        }
        try producer.destroy()
        try consumer.letGo()
        let status = try consumer.join()
        guard let before else { throw LaboratoryFailure(description: "the producer ended by itself") }
        try require(status == 0, "it slept on: \(status) after \(before)")
        return (before, sleeps)
    }

    @Test func `whoever is about to sleep while somebody puts finds what that one stores as its last act`()
        async throws
    {
        try await Laboratory.run {
            let count = try Self.killProducer(at: nil).before
            var sleeps = 0
            var generator = SeededGenerator(seed: 3)
            let places =
                (1...8).map { count - $0 } + (0..<12).map { _ in Int.random(in: 0..<count, using: &generator) }
            for place in places {
                Laboratory.signOfLife()
                if try Self.killProducer(at: place).slept { sleeps += 1 }
            }
            try require(sleeps > places.count / 2, "it slept only \(sleeps) times")
        }
    }

    @Test
    func `whoever is about to sleep because the lane is full finds the receipt of one who was killed right after it`()
        async throws
    {
        try await Laboratory.run {
            Spinning.disable()
            let ring = try TestRing(capacity: nil).ring
            while try ring.put(bytes: [1], descriptors: [2], until: .passed) == .done {}
            let producer = try SteppedProcess {
                let outcome = try ring.put(bytes: [2], descriptors: [2], until: Deadline(timeout: .seconds(60)))
                try require(outcome == .done, "put: \(outcome)")
            }
            try producer.runToSleep(on: ring.base + Ring.Offset.space)
            let consumer = try SteppedProcess {
                var descriptors: [Int32] = []
                _ = try ring.take(until: .passed, descriptors: &descriptors) { _ in }
            }
            let before = (count: ring.count, receipts: ring.receipts.load())
            try consumer.step { ring.count < before.count && ring.space.load() == 0 }
            // There is room in the ring, and none in the lane: it sleeps again, and waits for a receipt.
            try producer.runToSleep(on: ring.base + Ring.Offset.space)
            try require(try consumer.step { ring.receipts.load() != before.receipts } != nil, "no receipt")
            try consumer.destroy()
            try producer.letGo()
            let status = try producer.join()
            try require(status == 0, "it slept on: \(status)")
        }
    }
}
