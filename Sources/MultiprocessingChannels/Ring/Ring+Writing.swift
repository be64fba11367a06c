// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// The head as a producer saw it last; with the producers' lock.
    var cachedHead: UInt64 {
        get { base.load(fromByteOffset: Offset.cachedHead, as: UInt64.self) }
        set { base.storeBytes(of: newValue, toByteOffset: Offset.cachedHead, as: UInt64.self) }
    }

    /// A message that is to be written.
    struct Record {
        /// The most bytes in the ring.
        let most: Int
        let descriptors: [Int32]
        /// Whether it may wait for a moment to find room in warm memory.
        let isPatient: Bool
        /// The slot that the bytes are in, and how many; -1: they are in the ring.
        var slot = -1
        var slotBytes = 0

        /// The size of the record of a message in a slot.
        static var largeSize: Int { 32 }

        /// The bytes before the message's own.
        @inline(__always)
        var headSize: Int { slot >= 0 ? Self.largeSize : descriptors.isEmpty ? 8 : 24 }

        /// The units that it takes at most.
        @inline(__always)
        var units: Int { units(most) }

        /// The units that it takes with so many bytes.
        @inline(__always)
        func units(_ byteCount: Int) -> Int { (headSize + byteCount + RingPosition.unit - 1) / RingPosition.unit }
    }

    /// Writes a message if there is room; with the producers' lock.
    @inline(__always)
    func write(_ record: Record, _ fill: (UnsafeMutableRawPointer) -> Int) throws(SystemError) -> Bool {
        // Relaxed: only producers change it, under this lock.
        let tail = RingPosition(word: tail.pointee.load(ordering: .relaxed))
        let units = record.units
        // The other side has read it a lap ago. Not the tail's own line: whoever watches it would take it back at once.
        if tail.offset * RingPosition.unit < RingMemory.firstWindow {
            mp_prefetch_to_write(base + tail.offset * RingPosition.unit)
        }
        var head = RingPosition(word: cachedHead)
        var placement = RingStateMachine.Placement.here
        if !isPlain(units, record, tail: tail, head: head) {
            (placement, head) = findPlace(units, record, tail: tail, head: head)
        }
        guard placement != .nowhere else { return false }
        guard let ticket = try send(record.descriptors, tail: tail) else { return false }
        var start = tail
        if case .elsewhere(let target) = placement {
            freeMemory(behind: tail, head: head, target: target)
            try skip(at: tail, to: target)
            start = RingPosition(offset: target, lap: tail.lap + 1, sequence: tail.sequence)
        }
        let used = try store(record, ticket: ticket, at: start, fill)
        if record.slot >= 0 { handOver(record, sequence: tail.sequence) }
        ringIfMarked(Offset.itemsBell)
        let end = RingPosition(offset: start.offset + used, lap: start.lap, sequence: tail.sequence + 1)
        publish(end, in: self.tail, waking: Offset.items)
        return true
    }

    /// Whether a record follows the one before, as nearly all do, so that nothing else needs to be asked: in the warm part and in the lap of the head that is known, with regard to the most messages and bytes.
    @inline(__always)
    private func isPlain(_ units: Int, _ record: Record, tail: RingPosition, head: RingPosition) -> Bool {
        tail.lap == head.lap && tail.offset &+ units < rules.soft && tail.count(since: head) < capacity
            && tail.offset &- head.offset &+ units <= limit && record.slot < 0 && !hasLargeMessages
    }

    /// Decides where a record goes that may not simply follow the one before; returns that, and the head as known then.
    @inline(never)
    private func findPlace(
        _ units: Int,
        _ record: Record,
        tail: RingPosition,
        head: RingPosition
    ) -> (RingStateMachine.Placement, RingPosition) {
        var head = head
        var placement = place(units, record, tail: tail, head: head)
        // Beyond warm memory what was taken meanwhile may let the stream go back, and after a lap a head of the lap before makes every message come here: a head of a while ago tells neither. One look for each
        // page costs the consumer little.
        let isOld = tail.lap != head.lap || tail.offset + units >= rules.soft
        if placement != .here || isOld && isBeyondPage(units, tail: tail) {
            // Acquiring: pairs with the release of the consumer, which has read what is overwritten now.
            let now = self.head.pointee.load(ordering: .acquiring)
            if now != head.word {
                cachedHead = now
                head = RingPosition(word: now)
                placement = place(units, record, tail: tail, head: head)
            }
        }
        if record.isPatient, isCold(placement, units, tail: tail) {
            (placement, head) = awaitWarmMemory(units, record, tail: tail, head: head, found: placement)
        }
        return (placement, head)
    }

    /// Decides where a record of so many units goes, with regard to the most messages and bytes.
    @inline(__always)
    func place(
        _ units: Int,
        _ record: Record,
        tail: RingPosition,
        head: RingPosition
    ) -> RingStateMachine.Placement {
        let count = tail.count(since: head)
        guard count < capacity else { return .nowhere }
        let occupancy = occupancy(tail: tail, head: head)
        if count > 0, limit < .max {
            var used = occupancy.used + units + record.slotBytes / RingPosition.unit
            if hasLargeMessages {
                let large = unitsInSlots(head: head)
                if large == 0 { hasLargeMessages = false }
                used += large
            }
            if used > limit { return .nowhere }
        }
        return rules.place(units, occupancy)
    }

    @inline(__always)
    private func occupancy(tail: RingPosition, head: RingPosition) -> RingStateMachine.Occupancy {
        let lap = tail.lap
        let (previousStart, previousEnd) = (start(ofLap: lap - 1), end(ofLap: lap - 1))
        return RingStateMachine.Occupancy(
            head: head.offset,
            tail: tail.offset,
            lapsBehind: tail.laps(since: head),
            start: start(ofLap: lap),
            previous: previousStart..<max(previousStart, previousEnd),
            endBeforePrevious: end(ofLap: lap - 2)
        )
    }

    private func start(ofLap lap: Int) -> Int {
        Int(base.load(fromByteOffset: Offset.laps + (lap & 3) * 8, as: UInt32.self))
    }

    private func end(ofLap lap: Int) -> Int {
        Int(base.load(fromByteOffset: Offset.laps + 4 + (lap & 3) * 8, as: UInt32.self))
    }

    /// Writes the record that leads from `tail` to `target`, and notes the laps. None of it counts before the tail is stored.
    private func skip(at tail: RingPosition, to target: Int) throws(SystemError) {
        let offset = tail.offset * RingPosition.unit
        try commit(offset + RingPosition.unit)
        let address = try memory.address(offset, upTo: offset + RingPosition.unit)
        address.storeBytes(of: RecordKind.skip << 56 | UInt64(target), as: UInt64.self)
        base.storeBytes(
            of: UInt32(truncatingIfNeeded: tail.offset + 1),
            toByteOffset: Offset.laps + 4 + (tail.lap & 3) * 8,
            as: UInt32.self
        )
        base.storeBytes(
            of: UInt32(truncatingIfNeeded: target),
            toByteOffset: Offset.laps + ((tail.lap + 1) & 3) * 8,
            as: UInt32.self
        )
    }

    /// Writes header and bytes of a record, and returns how many units it takes.
    @inline(__always)
    private func store(
        _ record: Record,
        ticket: UInt64,
        at position: RingPosition,
        _ fill: (UnsafeMutableRawPointer) -> Int
    ) throws(SystemError) -> Int {
        let offset = position.offset * RingPosition.unit
        let end = offset + record.units * RingPosition.unit
        try commit(end)
        let address = try memory.address(offset, upTo: end)
        let byteCount = fill(address + record.headSize)
        precondition(byteCount <= record.most, "a message wrote beyond its place in a channel")
        if record.slot >= 0 {
            storeLarge(record, ticket: ticket, at: address)
        } else if record.descriptors.isEmpty {
            address.storeBytes(of: RecordKind.message << 56 | UInt64(byteCount), as: UInt64.self)
            repeatBesideTail(address + 8, byteCount, sequence: position.sequence)
            return record.units(byteCount)
        } else {
            address.storeBytes(of: RecordKind.messageWithDescriptors << 56 | UInt64(byteCount), as: UInt64.self)
            address.storeBytes(of: ticket, toByteOffset: 8, as: UInt64.self)
            address.storeBytes(of: UInt64(record.descriptors.count), toByteOffset: 16, as: UInt64.self)
        }
        repeatNothingBesideTail()
        return record.units(byteCount)
    }
}
