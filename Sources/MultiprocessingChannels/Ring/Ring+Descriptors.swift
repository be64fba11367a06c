// SPDX-License-Identifier: Apache-2.0
//
// The descriptors of messages: when they are sent and received, and what happens when the lane (DescriptorLane.swift) takes no more.
//
// A lane that is full of what belongs to messages empties as those are taken, as a ring does. Where there is no message, it is full of what nobody will receive. In a queue a producer drops that itself:
// both ends of the lane are everybody's. In a connection only the other side can; it is asked to.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// Changes whenever descriptors were received, or dropped: there may be room in the lane, which there is not yet when the head moves.
    var receipts: SharedWord { SharedWord(base, offset: Offset.receipts) }

    /// The ticket below which, itself included, packets are in the way; 0: none.
    private var leftovers: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + Offset.leftovers).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: - Sending

    /// Sends the descriptors of the next message and returns their ticket, 0 without descriptors; nil when the lane takes no more before others are received, or the other side is found to be gone. With the producers' lock.
    @inline(__always)
    func send(_ descriptors: [Int32], tail: RingPosition) throws(SystemError) -> UInt64? {
        descriptors.isEmpty ? 0 : try sendTicketed(descriptors, tail: tail)
    }

    @inline(never)
    private func sendTicketed(_ descriptors: [Int32], tail: RingPosition) throws(SystemError) -> UInt64? {
        let ticket = base.load(fromByteOffset: Offset.ticket, as: UInt64.self) &+ 1
        base.storeBytes(of: ticket, toByteOffset: Offset.ticket, as: UInt64.self)
        let outcome = try lane.send(descriptors, ticket: ticket)
        if case .sent = outcome { return ticket }
        if case .gone = outcome {
            // Sooner than by the departure or the hang-up.
            abandonHere()
            return nil
        }
        // Acquiring: pairs with the release of the consumer. The head of now is what a sleep is to begin with.
        cachedHead = head.pointee.load(ordering: .acquiring)
        guard tail.count(since: RingPosition(word: cachedHead)) == 0 else { return nil }
        if case .tooMany = outcome {
            // Nothing that is received from here would change that.
            throw SystemError(code: ETOOMANYREFS, operation: "sending descriptors")
        }
        guard lane.isLoop else {
            askToDropLeftovers(upTo: ticket)
            return nil
        }
        guard try dropLeftovers(), case .sent = try lane.send(descriptors, ticket: ticket) else { return nil }
        return ticket
    }

    // MARK: - Receiving

    /// Says, before the head of a message with descriptors is stored, that no consumer sleeps: a killed one may have left its mark, by which a producer would know that nobody is receiving (`dropLeftovers`). With
    /// the consumers' lock.
    func showAwake() {
        items.exchange(0)
    }

    /// Receives the descriptors of a message whose head has been stored; with the consumers' lock.
    @inline(never)
    func receiveDescriptors(of message: inout FoundMessage, into descriptors: inout [Int32]) throws(SystemError) {
        try makingRoomInLane { () throws(SystemError) in
            try lane.receive(ticket: message.ticket, count: message.descriptorCount, into: &descriptors)
        }
    }

    /// Calls `body`, which takes packets from the lane, and tells a producer that waits for room there; if this thread dies in between the kernel wakes it.
    private func makingRoomInLane(_ body: () throws(SystemError) -> Void) throws(SystemError) {
        // Found after the head was stored: tasks that marked before that were told, later ones see the consumers' lock.
        guard let list = mp_this_thread().pointee.robust else { return try body() }
        mp_robust_pending(list, base + Offset.space)
        defer {
            let isMarked = takeMarkBack(Offset.space)
            receipts.add(1)
            if isMarked || space.loadInOrder() != 0 {
                space.exchange(0)
                space.wake(1)
            }
            mp_robust_pending(list, nil)
        }
        try body()
    }

    // MARK: - Leftovers

    /// Whether a producer asks to drop packets that are in the way.
    @inline(__always)
    var hasLeftovers: Bool { leftovers.pointee.load(ordering: .acquiring) != 0 }

    /// Asks the consumers to drop the packets that nobody will receive; with the producers' lock and an empty ring.
    private func askToDropLeftovers(upTo ticket: UInt64) {
        // In one order with the mark of a consumer that goes to sleep, which looks at this after it.
        leftovers.pointee.store(ticket, ordering: .sequentiallyConsistent)
        // In one step: were this thread killed in between, whoever puts next would see no mark.
        items.clearAndWake(1)
        ring()
    }

    /// Drops what a producer asks to be dropped; with the consumers' lock.
    @inline(never)
    func dropLeftoversBelow() {
        let last = leftovers.pointee.load(ordering: .acquiring)
        // The mark of a task that waits for room is older than the question, or sees the lock.
        ringIfMarked(Offset.spaceBell)
        try? makingRoomInLane { () throws(SystemError) in
            lane.drain(upTo: last)
            // Another question may have come.
            _ = leftovers.pointee.compareExchange(expected: last, desired: 0, ordering: .acquiringAndReleasing)
        }
    }

    /// Drops the packets that nobody will receive; with the producers' lock and an empty ring. False when a consumer would not let go.
    ///
    /// A consumer that took the last message may still be receiving its descriptors: it has the lock then, and does not sleep.
    private func dropLeftovers() throws(SystemError) -> Bool {
        for _ in 0..<100 {
            if items.load() == Self.waiting {
                lane.drain()
                return true
            }
            let outcome = try consumers.acquire(until: Deadline(timeout: .milliseconds(1)))
            switch outcome {
            case .acquired, .ownerDied:
                if outcome != .acquired { forgetWaker(Offset.consumers) }
                lane.drain()
                _ = consumers.releaseIfHeldByThread()
                return true
            default:
                continue
            }
        }
        return false
    }
}
