// SPDX-License-Identifier: Apache-2.0

import Multiprocessing

/// A message of the queue.
struct Message: Codable, Sendable {
    let producer: Int
    let number: Int
    let payload: [UInt8]

    /// Bytes that follow from who sends what.
    static func payload(_ producer: Int, _ number: Int, size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &+ producer &* 7) }
    }
}

/// What a manager hosts: two numbers that are changed together.
struct Pair: Codable, Sendable {
    var first = 0
    var second = 0
}

/// What all actors of a round share.
struct Stage: Codable, Sendable {
    /// The most messages that a producer sends.
    static let most = 20_000
    static let producers = 3
    /// How many may be in at once.
    static let permits = 2

    /// 1 when everybody is to go home.
    let isOver: SharedAtomic<Int>

    // The ledger: two numbers that only a holder of the lock changes, together.
    let lock: Lock
    let recursiveLock: RecursiveLock
    let ledger: SharedArray<Int>
    /// Who is inside: a pid, or 0.
    let inside: SharedAtomic<Int>
    let entries: SharedAtomic<Int>
    let deathsSeen: SharedAtomic<Int>

    /// What the ledger said last, as a number and as a text, written under the lock as well.
    let list: ShareableList

    // The queue, and of each message whether `put` returned, and how often it was taken.
    let queue: Queue<Message>
    let attempted: SharedArray<Int>
    let returned: SharedArray<UInt8>
    let taken: SharedArray<UInt8>

    // What can be waited for.
    let semaphore: Semaphore
    let bounded: BoundedSemaphore
    let event: Event
    let condition: Condition
    let barrier: Barrier
    let waits: SharedAtomic<Int>

    init() throws {
        isOver = try SharedAtomic(0)
        lock = try Lock()
        recursiveLock = try RecursiveLock()
        ledger = try SharedArray(count: 2)
        inside = try SharedAtomic(0)
        entries = try SharedAtomic(0)
        deathsSeen = try SharedAtomic(0)
        queue = try Queue(capacity: 500)
        attempted = try SharedArray(count: Self.producers)
        returned = try SharedArray(count: Self.producers * Self.most)
        taken = try SharedArray(count: Self.producers * Self.most)
        list = try ShareableList([.integer(0), .string("entry 0")], slotCapacity: 64)
        semaphore = try Semaphore(value: 2)
        bounded = try BoundedSemaphore(value: Self.permits)
        event = try Event()
        condition = try Condition()
        barrier = try Barrier(parties: 2)
        waits = try SharedAtomic(0)
    }

    /// Whether everybody is to go home.
    var hasEnded: Bool { isOver.load() != 0 }
}

/// Something that must not be.
struct Violation: Error, Codable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Throws unless `condition` holds.
func check(_ condition: @autoclosure () throws -> Bool, _ message: @autoclosure () -> String) throws {
    guard try condition() else { throw Violation(message()) }
}
