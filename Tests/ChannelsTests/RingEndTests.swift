// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Synchronization
import Testing

@testable import MultiprocessingChannels

extension RingTests {
    @Test func `who is told of the end has seen every message, also without waiting`() throws {
        // Many rings in one file; each ends once.
        let file = try RingFile()
        var sockets: [Int32] = [-1, -1]
        try require(mp_socketpair(&sockets) == 0, "no sockets")
        let bell = mp_eventfd(0)
        defer { for number in sockets + [bell] { close(number) } }
        let lane = DescriptorLane(sender: sockets[0], receiver: sockets[1])
        let rings = try (0..<3000).map { index in
            try Ring(file, index << 21..<(index + 1) << 21, bell: bell, lane: lane, isNew: true, capacity: nil)
        }
        let shared = Shared()
        try Thread.start(name: "mp-test") {
            for (index, ring) in rings.enumerated() {
                while shared.turn.load(ordering: .acquiring) != index { mp_pause() }
                for _ in 0..<index % 64 { mp_pause() }
                _ = try? ring.put(bytes: [1], until: .passed)
                ring.abandonHere()
            }
            shared.isOver.store(true, ordering: .releasing)
        }
        var lost = 0
        for (index, ring) in rings.enumerated() {
            shared.turn.store(index, ordering: .releasing)
            var descriptors: [Int32] = []
            var outcome = RingOutcome.timedOut
            while outcome == .timedOut { outcome = try ring.take(until: .passed, descriptors: &descriptors) { _ in } }
            if outcome == .abandoned { lost += 1 }
        }
        while !shared.isOver.load(ordering: .acquiring) { sched_yield() }
        #expect(lost == 0, "the end came before the message in \(lost) of \(rings.count) rings")
    }

    @Test func `a put under way when a ring is shut down is over before consumers are told`() async throws {
        try await Laboratory.run {
            for _ in 0..<200 {
                Laboratory.signOfLife()
                let ring = try TestRing(capacity: nil).ring
                let words = try SharedWords()
                let producers = try (0..<2).map { _ in
                    try ForkedProcess {
                        words[0].add(1)
                        while try ring.put(bytes: [1], until: .never) == .done { words[1].add(1) }
                    }
                }
                let consumer = try ForkedProcess {
                    while try ring.takeBytes(until: .never) != nil { words[2].add(1) }
                }
                try waitFor("producers") { words[0].load() == 2 && words[1].load() > 0 }
                ring.shutDown()
                for process in producers + [consumer] {
                    let status = try process.join()
                    try require(status == 0, "\(status)")
                }
                try require(words[1].load() == words[2].load(), "\(words[1].load()) put, \(words[2].load()) taken")
            }
        }
    }

    @Test func `an end wakes all who sleep, and rings for the tasks of all processes`() async throws {
        try await Laboratory.run {
            // Both have a message and no room; in one somebody waits for the next.
            let (full, empty) = (try TestRing(capacity: 1).ring, try TestRing(capacity: 1).ring)
            for ring in [full, empty] { _ = try ring.put(bytes: [1]) }
            _ = try empty.takeBytes()
            let sleepers = try [
                ForkedProcess { try require(try full.put(bytes: [2]) == .shut, "put") },
                ForkedProcess { try require(try full.waitUntilFinished(until: .never) == .done, "join") },
                ForkedProcess { try require(try full.waitUntilFinished(until: .never) == .done, "join") },
                ForkedProcess { try require(try empty.takeBytes(until: .never) == nil, "a message") },
                ForkedProcess { try require(try empty.takeBytes(until: .never) == nil, "a message") },
            ]
            for sleeper in sleepers { try waitFor("a sleeper") { isAsleep(sleeper.pid) } }
            for ring in [full, empty] {
                var rings: UInt64 = 0
                _ = read(ring.bell, &rings, 8)
                ring.shutDown(now: true)
                try require(read(ring.bell, &rings, 8) == 8 && rings > 0, "the bell did not ring")
            }
            for sleeper in sleepers {
                let status = try sleeper.join()
                try require(status == 0, "a sleeper ended with \(status)")
            }
        }
    }

    @Test(arguments: ["a message", "a message at the beginning", "room", "the rest"])
    func `whoever is killed between the mark of an end and the wake-up leaves nobody asleep`(what: String) async throws
    {
        try await Laboratory.run {
            for _ in 0..<20 {
                let ring = try TestRing(capacity: 1).ring
                let isEmpty = what.hasPrefix("a message")
                if !isEmpty { _ = try ring.put(bytes: [1]) }
                let sleeper = try ForkedProcess {
                    switch what {
                    case _ where isEmpty: try require(try ring.takeBytes(until: .never) == nil, "a message")
                    case "room": try require(try ring.put(bytes: [2]) == .shut, "put")
                    default: try require(try ring.waitUntilFinished(until: .never) == .done, "join")
                    }
                }
                try waitFor("the sleeper") { isAsleep(sleeper.pid) }
                let ender = try ForkedProcess {
                    let (bits, word) =
                        switch what {
                        case "a message": (Ring.ended, Ring.Offset.items)
                        case "a message at the beginning": (Ring.begun, Ring.Offset.items)
                        case "room": (Ring.shut, Ring.Offset.space)
                        default: (Ring.closed, Ring.Offset.joiners)
                        }
                    // As everybody who ends a ring: who looks again meanwhile sees it.
                    try require(try ring.enders.acquire() == .acquired, "no lock")
                    ring.raise(bits, waking: word) { kill(getpid(), SIGKILL) }
                }
                try require(try ender.join() == SIGKILL, "the end was not cut")
                let status = try sleeper.join()
                try require(status == 0, "the sleeper ended with \(status)")
            }
        }
    }

    @Test func `whoever is killed right before it wakes all for the end of a handle leaves nobody asleep`() async throws
    {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            let sleeper = try ForkedProcess { try require(try ring.takeBytes(until: .never) == [1], "no message") }
            try waitFor("the sleeper") { isAsleep(sleeper.pid) }
            let closer = try ForkedProcess {
                try require(laboratory_die_at_wake() == 0, "no filter")
                ring.wakeEverybody()
            }
            try require(try closer.join() == SIGSYS, "the call was not cut")
            // Its mark has to be there still for the one who does what it waits for.
            _ = try ring.put(bytes: [1])
            let status = try sleeper.join()
            try require(status == 0, "the sleeper ended with \(status)")
        }
    }

    @Test(.enabled(if: SteppedProcess.isPossible, "ptrace(2) is not allowed here"), arguments: [true, false])
    func `whoever is stopped while it begins an end leaves nobody asleep beside what it waits for`(
        isFull: Bool
    ) async throws {
        try await Laboratory.run {
            let bit = isFull ? Ring.shut : Ring.begun
            func stage() throws -> (ring: Ring, sleeper: ForkedProcess, ender: SteppedProcess) {
                let ring = try TestRing(capacity: 1).ring
                if isFull { _ = try ring.put(bytes: [1]) }
                let sleeper = try ForkedProcess {
                    if isFull {
                        _ = try ring.put(bytes: [2])
                    } else {
                        _ = try ring.takeBytes(until: .never)
                    }
                }
                try waitFor("the sleeper") { isAsleep(sleeper.pid) }
                return (ring, sleeper, try SteppedProcess { ring.shutDown() })
            }
            let first = try stage()
            let count = try first.ender.step { first.ring.state.load() & bit != 0 }
            try first.ender.letGo()
            for process in [try first.ender.join(), try first.sleeper.join()] {
                try require(process == 0, "\(process)")
            }
            guard let count else { throw LaboratoryFailure(description: "the end was not seen") }
            for back in 1...12 {
                Laboratory.signOfLife()
                let (ring, sleeper, ender) = try stage()
                var left = count - back
                _ = try ender.step {
                    defer { left -= 1 }
                    return left == 0
                }
                let isBefore = ring.state.load() & bit == 0
                if isFull { _ = try ring.takeBytes() } else { _ = try ring.put(bytes: [1]) }
                let status = try sleeper.join()
                try require(status == 0 || !isBefore, "\(back) before the end the sleeper ended with \(status)")
                try ender.destroy()
            }
        }
    }

    @Test func `a shutdown whose caller is killed half-way is finished by the next put`() async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            // While this process puts, the end has to wait.
            let outcome = try ring.put(upTo: 1, until: .never) { memory in
                let ender = try? ForkedProcess { ring.shutDown() }
                try? waitFor("the mark") { ring.isShut }
                try? ender?.destroy()
                memory.storeBytes(of: 7, as: UInt8.self)
                return 1
            }
            try require(outcome == .done && ring.isShut && !ring.hasEnded, "\(outcome)")
            try require(try ring.put(bytes: [1], until: .passed) == .shut && ring.hasEnded, "put")
            try require(try ring.takeBytes(until: .never) == [7], "the message before the end")
            try require(try ring.takeBytes(until: .never) == nil, "a message")
        }
    }

    @Test(arguments: ["sleeps", "comes later", "does not wait", "waits for the next without taking it"])
    func `a shutdown whose caller is killed half-way is finished by who wants a message`(who: String) async throws {
        try await Laboratory.run {
            let ring = try TestRing(capacity: nil).ring
            var descriptors: [Int32] = []
            let consumer = try ForkedProcess {
                guard who == "sleeps" else { return }
                try require(try ring.takeBytes(until: .never) == nil, "a message")
                try require(ring.hasEnded, "not the end")
            }
            if who == "sleeps" { try waitFor("the consumer") { isAsleep(consumer.pid) } }
            // Nobody puts, and nobody will: the end waits for somebody who only has the lock.
            _ = try ring.producers.acquire()
            let ender = try ForkedProcess { ring.shutDown() }
            try waitFor("the mark") { ring.isShut && isAsleep(ender.pid) }
            try ender.destroy()
            try require(!ring.hasEnded, "it has ended")
            // While a put may be under way there is neither a message nor an end.
            try require(try ring.take(until: .passed, descriptors: &descriptors) { _ in } == .timedOut, "an end")
            _ = ring.producers.releaseIfHeldByThread()
            switch who {
            case "comes later":
                try require(try ring.take(until: .never, descriptors: &descriptors) { _ in } == .shut, "no end")
            case "does not wait":
                try require(try ring.take(until: .passed, descriptors: &descriptors) { _ in } == .shut, "no end")
            case "waits for the next without taking it":
                try require(try ring.wait(until: .never) == .shut, "no end")
            default: break
            }
            let status = try consumer.join()
            try require(status == 0 && ring.hasEnded, "the consumer ended with \(status)")
        }
    }

    @Test func `a put without waiting does not wait behind one that waits for room`() throws {
        let ring = try TestRing(capacity: 1).ring
        _ = try ring.put(bytes: [1])
        try Thread.start(name: "mp-test") { _ = try? ring.put(bytes: [2], until: .never) }
        try waitFor("the other producer") { ring.producersAreBusy }
        let clock = ContinuousClock()
        var times: [Duration] = []
        // Behind the lock each would take 50 ms. A machine with much else to do may hold this thread up, but not all the time.
        for _ in 0..<5 where times.last ?? .seconds(1) >= .seconds(1) {
            times.append(
                try clock.measure {
                    for _ in 0..<40 {
                        try require(try ring.put(bytes: [3], until: .passed) == .timedOut, "there was room")
                    }
                }
            )
        }
        #expect(times.last ?? .zero < .seconds(1), "\(times)")
        #expect(try ring.takeBytes() == [1])
        #expect(try ring.takeBytes(until: .never) == [2])
    }
}

/// What two threads share.
private final class Shared: Sendable {
    let turn = Atomic<Int>(-1)
    let isOver = Atomic<Bool>(false)
}
