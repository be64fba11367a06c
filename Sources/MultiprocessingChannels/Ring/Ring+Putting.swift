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
        try put(
            upTo: bytes.count,
            descriptors: descriptors,
            until: deadline,
            cancellation: cancellation,
            waitsForOthers: waitsForOthers
        ) { target in
            if let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: bytes.count) }
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
        let record = Record(most: most, descriptors: descriptors, isPatient: deadline.nanoseconds != 0)
        guard record.units <= rules.largestRecord else { return .tooLarge }
        if !mp_robust_acquire_if_free(base + Offset.producers) {
            let outcome = try enter(producers, until: deadline, cancellation, waitsForOthers)
            guard outcome == .done else { return outcome }
        }
        defer { leave(Offset.producers) }
        while true {
            if isShut { return .shut }
            if isAbandoned { return .abandoned }
            if try write(record, fill) { return .done }
            let seen = cachedHead
            let result = sleep(on: space, pace: spacePace, until: deadline, cancellation) {
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

    /// Gives up the lock of one side, at `offset`.
    @inline(__always)
    func leave(_ offset: Int) {
        if !mp_robust_release_if_unwaited(base + offset) { _ = RobustLock(base + offset).releaseIfHeldByThread() }
    }

    /// Takes the lock of one side, which somebody else has.
    @inline(never)
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
}
