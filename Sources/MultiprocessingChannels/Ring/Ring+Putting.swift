// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives
internal import Synchronization

/// The kinds of records, in the highest byte of a header.
enum RecordKind {
    static let message: UInt64 = 1
    /// The next record is elsewhere, at the unit that the rest of the header tells.
    static let skip: UInt64 = 2
    /// Like `message`; ticket and number of descriptors come before the bytes.
    static let messageWithDescriptors: UInt64 = 3

    static let lengthMask: UInt64 = 1 << 56 - 1
}

extension Ring {
    /// Puts a message, waiting for room until `deadline` or `cancellation`; copies the bytes once. The descriptors are the receiver's own copies then.
    ///
    /// - Parameter waitsForOthers: Whether to wait for other producers as well; if not, `busy` is returned where one is at it.
    /// - Throws: `SystemError` when memory is short or the descriptors cannot be sent.
    package func put(
        _ bytes: UnsafeRawBufferPointer,
        descriptors: [Int32] = [],
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true
    ) throws(SystemError) -> RingOutcome {
        let units = (8 + (descriptors.isEmpty ? 0 : 16) + bytes.count + RingPosition.unit - 1) / RingPosition.unit
        guard units <= rules.largestRecord else { return .tooLarge }
        if !producers.acquireIfFree() {
            let outcome = try enter(producers, until: deadline, cancellation, waitsForOthers)
            guard outcome == .done else { return outcome }
        }
        defer { _ = producers.releaseIfHeldByThread() }
        while true {
            if isShut { return .shut }
            if isAbandoned { return .abandoned }
            if try write(bytes, descriptors, units: units, isPatient: deadline != .passed) { return .done }
            let seen = cachedHead
            let result = sleep(on: space, until: deadline, cancellation) { [self] in
                // Relaxed: `write` looks again.
                head.pointee.load(ordering: .relaxed) != seen || isShut || isAbandoned
            }
            switch result {
            case .lookAgain: continue
            case .timedOut: return .timedOut
            case .cancelled: return .cancelled
            }
        }
    }

    /// Takes the lock of one side, which somebody else has.
    func enter(
        _ lock: RobustLock,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ waitsForOthers: Bool
    ) throws(SystemError) -> RingOutcome {
        // Without waiting means without waiting for messages or room; whoever has the lock for long waits for the same.
        let patience = deadline.hasPassed ? Deadline(timeout: .milliseconds(waitsForOthers ? 50 : 0)) : deadline
        switch try lock.acquire(until: waitsForOthers ? patience : .passed, cancellation: cancellation) {
        // A dead holder left nothing half-done.
        case .acquired, .ownerDied: return .done
        case .timedOut: return waitsForOthers ? .timedOut : .busy
        case .cancelled: return .cancelled
        case .heldByCaller: throw SystemError(code: EDEADLK, operation: "using a channel inside an operation on it")
        }
    }

    /// The head as a producer saw it last; with the producers' lock.
    var cachedHead: UInt64 {
        get { base.load(fromByteOffset: 136, as: UInt64.self) }
        set { base.storeBytes(of: newValue, toByteOffset: 136, as: UInt64.self) }
    }

    /// Writes a message if there is room; with the producers' lock.
    ///
    /// - Parameter isPatient: Whether it may wait for a moment to find room in warm memory.
    private func write(
        _ bytes: UnsafeRawBufferPointer,
        _ descriptors: [Int32],
        units: Int,
        isPatient: Bool
    ) throws(SystemError) -> Bool {
        // Relaxed: only producers change it, under this lock.
        let tail = RingPosition(word: tail.pointee.load(ordering: .relaxed))
        var head = RingPosition(word: cachedHead)
        var placement = place(units, tail: tail, head: head)
        if placement != .here {
            // Acquiring: pairs with the release of the consumer, which has read what is overwritten now.
            let now = self.head.pointee.load(ordering: .acquiring)
            if now != head.word {
                cachedHead = now
                head = RingPosition(word: now)
                placement = place(units, tail: tail, head: head)
            }
        }
        if isPatient, isCold(placement, units, tail: tail) {
            (placement, head) = awaitWarmMemory(units, tail: tail, head: head, found: placement)
        }
        guard placement != .nowhere else { return false }
        guard let ticket = try send(descriptors, isEmpty: tail.count(since: head) == 0) else { return false }
        var start = tail
        if case .elsewhere(let target) = placement {
            freeMemory(behind: tail, head: head, target: target)
            try skip(at: tail, to: target)
            start = RingPosition(offset: target, lap: tail.lap + 1, sequence: tail.sequence)
        }
        try store(bytes, ticket: ticket, descriptorCount: descriptors.count, at: start.offset, units: units)
        ringIfMarked(itemsBell)
        let end = RingPosition(offset: start.offset + units, lap: start.lap, sequence: tail.sequence + 1)
        publish(end, in: self.tail, waking: items, at: 192)
        return true
    }

    /// Decides where a record goes, with regard to the most messages and bytes.
    @inline(__always)
    func place(_ units: Int, tail: RingPosition, head: RingPosition) -> RingStateMachine.Placement {
        let count = tail.count(since: head)
        guard count < capacity else { return .nowhere }
        let occupancy = occupancy(tail: tail, head: head)
        if count > 0, limit < .max, occupancy.used + units > limit { return .nowhere }
        return rules.place(units, occupancy)
    }

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

    private func start(ofLap lap: Int) -> Int { Int(base.load(fromByteOffset: 160 + (lap & 3) * 8, as: UInt32.self)) }
    private func end(ofLap lap: Int) -> Int { Int(base.load(fromByteOffset: 164 + (lap & 3) * 8, as: UInt32.self)) }

    /// Writes the record that leads from `tail` to `target`, and notes the laps. None of it counts before the tail is stored.
    private func skip(at tail: RingPosition, to target: Int) throws(SystemError) {
        let offset = tail.offset * RingPosition.unit
        try commit(offset + RingPosition.unit)
        let address = try memory.address(offset, upTo: offset + RingPosition.unit)
        address.storeBytes(of: RecordKind.skip << 56 | UInt64(target), as: UInt64.self)
        base.storeBytes(
            of: UInt32(truncatingIfNeeded: tail.offset + 1),
            toByteOffset: 164 + (tail.lap & 3) * 8,
            as: UInt32.self
        )
        base.storeBytes(
            of: UInt32(truncatingIfNeeded: target),
            toByteOffset: 160 + ((tail.lap + 1) & 3) * 8,
            as: UInt32.self
        )
    }

    /// Writes header and bytes of a record.
    @inline(__always)
    private func store(
        _ bytes: UnsafeRawBufferPointer,
        ticket: UInt64,
        descriptorCount: Int,
        at unit: Int,
        units: Int
    ) throws(SystemError) {
        let offset = unit * RingPosition.unit
        let end = offset + units * RingPosition.unit
        try commit(end)
        var address = try memory.address(offset, upTo: end)
        if descriptorCount > 0 {
            address.storeBytes(of: RecordKind.messageWithDescriptors << 56 | UInt64(bytes.count), as: UInt64.self)
            address.storeBytes(of: ticket, toByteOffset: 8, as: UInt64.self)
            address.storeBytes(of: UInt64(descriptorCount), toByteOffset: 16, as: UInt64.self)
            address += 24
        } else {
            address.storeBytes(of: RecordKind.message << 56 | UInt64(bytes.count), as: UInt64.self)
            address += 8
        }
        guard let source = bytes.baseAddress else { return }
        address.copyMemory(from: source, byteCount: bytes.count)
    }
}
