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
        var message = FoundMessage()
        let outcome = try find(&message, until: deadline, cancellation: cancellation, waitsForOthers: waitsForOthers)
        guard case .done = outcome else { return outcome }
        sink(message.bytes)
        try finish(&message, descriptors: &descriptors)
        return .done
    }

    /// Finds the next message as `take` does, but leaves it in the ring: if it is done the caller has the consumers' lock, reads the bytes, and takes the message by `finish`, under the rules of a sink.
    package func find(
        _ message: inout FoundMessage,
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true
    ) throws(SystemError) -> RingOutcome {
        if isClosed { return .shut }
        // Whoever has the lock may be asleep in it for lack of messages.
        if deadline.nanoseconds != .max, let outcome = outlook, deadline.hasPassed { return outcome }
        if !mp_robust_acquire_if_free(base + Offset.consumers) {
            let outcome = try enter(consumers, until: deadline, cancellation, waitsForOthers) { outlook }
            guard case .done = outcome else { return outcome }
        }
        do throws(SystemError) {
            let outcome = try findWithLock(&message, until: deadline, cancellation)
            if case .done = outcome {
                if message.slot >= 0 { try openLarge(&message) }
                return .done
            }
            leave(Offset.consumers)
            return outcome
        } catch {
            leave(Offset.consumers)
            throw error
        }
    }

    /// How a look for a message that does not wait ends now; nil if there may be something to do.
    private var outlook: RingOutcome? {
        // Before the look at the tail: what was put before the end is seen then.
        let end = ending
        return isEmpty && !hasLeftovers && !isHalfEnded ? end ?? .timedOut : nil
    }

    @inline(__always)
    private func findWithLock(
        _ message: inout FoundMessage,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?
    ) throws(SystemError) -> RingOutcome {
        while true {
            if isClosed { return .shut }
            // Before the look at the tail: what was put before the end is seen then.
            let end = ending
            if try read(&message) { return .done }
            if let end { return end }
            if hasLeftovers { dropLeftoversBelow() }
            if isHalfEnded {
                if let outcome = try helpToEnd(until: deadline, cancellation) { return outcome }
                continue
            }
            switch sleep(.message(tail: cachedTail), until: deadline, cancellation) {
            case .lookAgain: continue
            // What came at the last moment is taken.
            case .timedOut: return try read(&message) ? .done : .timedOut
            case .cancelled: return .cancelled
            }
        }
    }

    /// Makes a message taken that was found, and gives up the lock.
    ///
    /// - Parameter descriptors: Gets the descriptors that came with it, which are the caller's then.
    /// - Throws: `SystemError`, as `take`.
    @inline(__always)
    package func finish(_ message: inout FoundMessage, descriptors: inout [Int32]) throws(SystemError) {
        if message.slot >= 0 { return try finishLarge(&message, descriptors: &descriptors) }
        defer { leave(Offset.consumers) }
        if message.descriptorCount > 0 { showAwake() }
        moveHead(behind: &message)
        // Taken first: whoever is killed in between leaves descriptors that the next one drops, not a message without them.
        if message.descriptorCount > 0 { try receiveDescriptors(of: &message, into: &descriptors) }
    }

    /// Makes a message without descriptors taken that was found, and gives up the lock.
    @inline(__always)
    package func finish(_ message: inout FoundMessage) throws(SystemError) {
        if message.slot >= 0 || message.descriptorCount > 0 { return try drop(&message) }
        moveHead(behind: &message)
        leave(Offset.consumers)
    }

    /// Makes a message taken whose bytes have been read; with the consumers' lock.
    @inline(__always)
    private func moveHead(behind message: inout FoundMessage) {
        // Not before: whoever waits for the answer has just begun to watch the line, and would take it back.
        if let answerLine { mp_prefetch_to_write(answerLine) }
        ringIfMarked(Offset.spaceBell)
        publish(message.next, in: head, waking: Offset.space)
    }

    /// Makes a message taken that was found, closes the descriptors that came with it, and gives up the lock.
    @inline(never)
    private func drop(_ message: inout FoundMessage) throws(SystemError) {
        var descriptors: [Int32] = []
        try finish(&message, descriptors: &descriptors)
        for descriptor in descriptors { close(descriptor) }
    }

    /// Waits until there is a message, without taking it; `done` then.
    package func wait(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true
    ) throws(SystemError) -> RingOutcome {
        if !isEmpty { return .done }
        if let outcome = outlook, deadline.hasPassed { return outcome }
        if !mp_robust_acquire_if_free(base + Offset.consumers) {
            let outcome = try enter(consumers, until: deadline, cancellation, waitsForOthers) { outlook }
            guard outcome == .done else { return outcome }
        }
        defer { leave(Offset.consumers) }
        while true {
            let end = ending
            if !isEmpty { return .done }
            if let end { return end }
            if hasLeftovers { dropLeftoversBelow() }
            if isHalfEnded {
                if let outcome = try helpToEnd(until: deadline, cancellation) { return outcome }
                continue
            }
            // The tail was the head just now, which only one with this lock moves.
            let head = head.pointee.load(ordering: .relaxed)
            switch sleep(.message(tail: head), until: deadline, cancellation) {
            case .lookAgain: continue
            case .timedOut: return isEmpty ? .timedOut : .done
            case .cancelled: return .cancelled
            }
        }
    }

    /// Why no further message can come; nil while one can.
    @inline(__always)
    package var ending: RingOutcome? {
        if hasEnded { return .shut }
        return isAbandoned ? .abandoned : nil
    }

    /// The tail as a consumer saw it last; with the consumers' lock.
    private var cachedTail: UInt64 {
        get { base.load(fromByteOffset: Offset.cachedTail, as: UInt64.self) }
        set { base.storeBytes(of: newValue, toByteOffset: Offset.cachedTail, as: UInt64.self) }
    }

    /// Looks for the next message; with the consumers' lock.
    @inline(__always)
    private func read(_ message: inout FoundMessage) throws(SystemError) -> Bool {
        // Relaxed: only consumers change it, under this lock.
        var position = RingPosition(word: head.pointee.load(ordering: .relaxed))
        if position.word == cachedTail {
            // Acquiring: pairs with the release of the producer, so that the record is seen.
            let now = tail.pointee.load(ordering: .acquiring)
            cachedTail = now
            if position.word == now { return false }
            if readBesideTail(position, tail: now, &message) { return true }
        }
        var hasSkipped = false
        while true {
            let offset = position.offset * RingPosition.unit
            let available = memory.size - offset
            guard available >= RingPosition.unit else { throw Self.damage }
            let header = try memory.address(offset, upTo: offset + RingPosition.unit).load(as: UInt64.self)
            let length = Int(header & RecordKind.lengthMask)
            switch header >> 56 {
            case RecordKind.skip:
                // It is made known together with the message that it leads to.
                guard !hasSkipped else { throw Self.damage }
                hasSkipped = true
                position = RingPosition(offset: length, lap: position.lap + 1, sequence: position.sequence)
            case RecordKind.message:
                guard length <= available - 8 else { throw Self.damage }
                let address = try memory.address(offset, upTo: offset + 8 + length)
                message.bytes = UnsafeRawBufferPointer(start: address + 8, count: length)
                message.next = position.after(bytes: 8 + length)
                return true
            case RecordKind.messageWithDescriptors:
                guard available >= 24, length <= available - 24 else { throw Self.damage }
                let address = try memory.address(offset, upTo: offset + 24 + length)
                message.ticket = address.load(fromByteOffset: 8, as: UInt64.self)
                message.descriptorCount = Int(clamping: address.load(fromByteOffset: 16, as: UInt64.self))
                message.bytes = UnsafeRawBufferPointer(start: address + 24, count: length)
                message.next = position.after(bytes: 24 + length)
                return true
            case RecordKind.largeMessage:
                guard available >= Record.largeSize else { throw Self.damage }
                try readLarge(try memory.address(offset, upTo: offset + Record.largeSize), length, &message)
                message.next = position.after(bytes: Record.largeSize)
                return true
            default:
                throw Self.damage
            }
        }
    }

    static var damage: SystemError { SystemError(code: EBADMSG, operation: "reading from a channel") }
}
