// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// Takes the next message, waiting for one until `deadline` or `cancellation`.
    ///
    /// - Parameters:
    ///   - descriptors: Gets the descriptors that came with it, which are the caller's then.
    ///   - waitsForOthers: Whether to wait for other consumers as well; if not, `busy` is returned where one is at it.
    ///   - sink: Called with the bytes in the ring, to copy them. Must not call anything that could block or be the program's: all other consumers wait.
    /// - Throws: `SystemError`: EBADMSG for a ring that was tampered with, EMFILE when there is no room for the descriptors; the message is gone then.
    package func take(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true,
        descriptors: inout [Int32],
        _ sink: (UnsafeRawBufferPointer) -> Void
    ) throws(SystemError) -> RingOutcome {
        if isClosed { return .shut }
        // Whoever has the lock may be asleep in it for lack of messages.
        if deadline.nanoseconds != .max, isEmpty, deadline.hasPassed { return ending ?? .timedOut }
        if !mp_robust_acquire_if_free(base + Offset.consumers) {
            let outcome = try enter(consumers, until: deadline, cancellation, waitsForOthers)
            guard outcome == .done else { return outcome }
        }
        defer { leave(Offset.consumers) }
        while true {
            if isClosed { return .shut }
            // Before the look at the tail: what was put before the end is seen then.
            let end = ending
            if try read(&descriptors, sink) { return .done }
            if let end { return end }
            let seen = cachedTail
            let result = sleep(on: items, pace: itemsPace, until: deadline, cancellation) {
                // Relaxed: `read` looks again.
                tail.pointee.load(ordering: .relaxed) != seen || ending != nil
            }
            switch result {
            case .lookAgain: continue
            case .timedOut: return isEmpty ? .timedOut : try lastLook(&descriptors, sink)
            case .cancelled: return .cancelled
            }
        }
    }

    /// Takes what came at the last moment.
    @inline(never)
    private func lastLook(
        _ descriptors: inout [Int32],
        _ sink: (UnsafeRawBufferPointer) -> Void
    ) throws(SystemError) -> RingOutcome {
        try read(&descriptors, sink) ? .done : .timedOut
    }

    /// Waits until there is a message, without taking it; `done` then.
    package func wait(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true
    ) throws(SystemError) -> RingOutcome {
        if !isEmpty { return .done }
        if deadline.hasPassed { return ending ?? .timedOut }
        if !mp_robust_acquire_if_free(base + Offset.consumers) {
            let outcome = try enter(consumers, until: deadline, cancellation, waitsForOthers)
            guard outcome == .done else { return outcome }
        }
        defer { leave(Offset.consumers) }
        while true {
            let end = ending
            if !isEmpty { return .done }
            if let end { return end }
            switch sleep(on: items, pace: itemsPace, until: deadline, cancellation, { !isEmpty || ending != nil }) {
            case .lookAgain: continue
            case .timedOut: return isEmpty ? .timedOut : .done
            case .cancelled: return .cancelled
            }
        }
    }

    /// Why no further message can come; nil while one can.
    @inline(__always)
    package var ending: RingOutcome? {
        if isShut { return .shut }
        return isAbandoned ? .abandoned : nil
    }

    /// The tail as a consumer saw it last; with the consumers' lock.
    private var cachedTail: UInt64 {
        get { base.load(fromByteOffset: 328, as: UInt64.self) }
        set { base.storeBytes(of: newValue, toByteOffset: 328, as: UInt64.self) }
    }

    @inline(__always)
    private func read(
        _ descriptors: inout [Int32],
        _ sink: (UnsafeRawBufferPointer) -> Void
    ) throws(SystemError) -> Bool {
        // Relaxed: only consumers change it, under this lock.
        var position = RingPosition(word: head.pointee.load(ordering: .relaxed))
        if position.word == cachedTail {
            // Acquiring: pairs with the release of the producer, so that the record is seen.
            cachedTail = tail.pointee.load(ordering: .acquiring)
            if position.word == cachedTail { return false }
        }
        while true {
            let offset = position.offset * RingPosition.unit
            let available = memory.size - offset
            guard available >= RingPosition.unit else { throw Self.damage }
            let header = try memory.address(offset, upTo: offset + RingPosition.unit).load(as: UInt64.self)
            let length = Int(header & RecordKind.lengthMask)
            switch header >> 56 {
            case RecordKind.skip:
                position = RingPosition(offset: length, lap: position.lap + 1, sequence: position.sequence)
            case RecordKind.message:
                guard length <= available - 8 else { throw Self.damage }
                let address = try memory.address(offset, upTo: offset + 8 + length)
                sink(UnsafeRawBufferPointer(start: address + 8, count: length))
                free(position, bytes: 8 + length)
                return true
            case RecordKind.messageWithDescriptors:
                guard available >= 24, length <= available - 24 else { throw Self.damage }
                let address = try memory.address(offset, upTo: offset + 24 + length)
                let ticket = address.load(fromByteOffset: 8, as: UInt64.self)
                let count = address.load(fromByteOffset: 16, as: UInt64.self)
                sink(UnsafeRawBufferPointer(start: address + 24, count: length))
                // Taken first: whoever is killed in between leaves descriptors that the next one drops, not a message without them.
                free(position, bytes: 24 + length)
                try lane.receive(ticket: ticket, count: Int(clamping: count), into: &descriptors)
                return true
            default:
                throw Self.damage
            }
        }
    }

    /// Makes the message at `position`, a record of so many bytes, taken.
    @inline(__always)
    private func free(_ position: RingPosition, bytes: Int) {
        ringIfMarked(Offset.spaceBell)
        let units = (bytes + RingPosition.unit - 1) / RingPosition.unit
        let next = RingPosition(offset: position.offset + units, lap: position.lap, sequence: position.sequence + 1)
        publish(next, in: head, waking: Offset.space)
    }

    private static var damage: SystemError { SystemError(code: EBADMSG, operation: "reading from a channel") }
}
