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
    /// The bytes are in a slot, the length tells how many; ticket, number of descriptors and the number of the slot follow.
    static let largeMessage: UInt64 = 4

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
        try putInOnePiece(bytes.count, descriptors, until: deadline, cancellation, waitsForOthers) { target in
            target.copyFew(bytes)
            return bytes.count
        }
    }

    /// Puts a message of at most `most` bytes that `fill` writes straight into the ring, as `put` of bytes does.
    ///
    /// - Parameter fill: Called at most once; returns how many bytes it wrote. Must not call anything that could block or be the program's: all other producers wait.
    package func put(
        upTo most: Int,
        descriptors: [Int32] = [],
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        waitsForOthers: Bool = true,
        _ fill: (UnsafeMutableRawPointer) -> Int
    ) throws(SystemError) -> RingOutcome {
        try putInOnePiece(most, descriptors, until: deadline, cancellation, waitsForOthers, fill)
    }

    @inline(__always)
    private func putInOnePiece(
        _ most: Int,
        _ descriptors: [Int32],
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ waitsForOthers: Bool,
        _ fill: (UnsafeMutableRawPointer) -> Int
    ) throws(SystemError) -> RingOutcome {
        if most >= RingSlots.threshold,
            let outcome = try putLarge(most, descriptors, until: deadline, cancellation, waitsForOthers, fill)
        {
            return outcome
        }
        let record = Record(most: most, descriptors: descriptors, isPatient: deadline.nanoseconds != 0)
        guard record.units <= rules.largestRecord else { return .tooLarge }
        return try put(record, until: deadline, cancellation, waitsForOthers, fill)
    }

    /// Puts a record, waiting for room.
    @inline(__always)
    func put(
        _ record: Record,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ waitsForOthers: Bool,
        _ fill: (UnsafeMutableRawPointer) -> Int
    ) throws(SystemError) -> RingOutcome {
        if !mp_robust_acquire_if_free(base + Offset.producers) {
            let outcome = try enter(producers, until: deadline, cancellation, waitsForOthers) {
                // Asleep for lack of room, or dead.
                space.load() != 0 && producers.isLocked ? isShut ? .shut : .timedOut : nil
            }
            guard outcome == .done else { return outcome }
        }
        defer { leave(Offset.producers) }
        while true {
            if isShut {
                finishShutDown()
                return .shut
            }
            if isAbandoned { return .abandoned }
            // Before the attempt to send descriptors, so that none is missed.
            let receipts = record.descriptors.isEmpty ? nil : self.receipts.load()
            if try write(record, fill) { return .done }
            // Found out on the way.
            if isAbandoned { return .abandoned }
            switch sleep(.room(head: cachedHead, receipts: receipts), until: deadline, cancellation) {
            case .lookAgain: continue
            case .timedOut: return .timedOut
            case .cancelled: return .cancelled
            }
        }
    }

    /// Gives up the lock of one side, at `offset`.
    @inline(__always)
    func leave(_ offset: Int) {
        if !mp_robust_release_if_unwaited(base + offset) { _ = RobustLock(base + offset).releaseIfHeldByThread() }
    }

    /// Takes the lock of one side, which somebody else has.
    ///
    /// - Parameter outlook: How a call that does not wait ends, because whoever has the lock waits with it; nil while that may give it up in a moment.
    @inline(never)
    func enter(
        _ lock: RobustLock,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ waitsForOthers: Bool,
        outlook: () -> RingOutcome?
    ) throws(SystemError) -> RingOutcome {
        guard waitsForOthers, deadline.hasPassed else {
            return try enter(lock, until: waitsForOthers ? deadline : .passed, cancellation)
                ?? (waitsForOthers ? .timedOut : .busy)
        }
        // Without waiting means without waiting for messages or room: what others do with the lock takes a moment only.
        let patience = Deadline(timeout: .milliseconds(50))
        while true {
            if let outcome = outlook() { return outcome }
            let moment = Deadline(timeout: .milliseconds(1))
            if let outcome = try enter(lock, until: min(moment, patience), cancellation) { return outcome }
            if patience.hasPassed { return .timedOut }
        }
    }

    /// Takes the lock of one side; nil when the deadline came before.
    private func enter(
        _ lock: RobustLock,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?
    ) throws(SystemError) -> RingOutcome? {
        switch try lock.acquire(until: deadline, cancellation: ending(cancellation)) {
        case .acquired: return .done
        // A dead holder left nothing half-done.
        case .ownerDied:
            forgetWaker(lock.base == producers.base ? Offset.producers : Offset.consumers)
            return .done
        case .timedOut: return nil
        case .cancelled: return closing.isCancelled ? .abandoned : .cancelled
        case .heldByCaller: throw SystemError(code: EDEADLK, operation: "using a channel inside an operation on it")
        }
    }
}
