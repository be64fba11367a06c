// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
public import Synchronization

/// How a wait on futex words ended.
package enum FutexWaitResult: Sendable {
    /// Woken, or the word had changed already, or for no reason at all: look again.
    case lookAgain
    /// The deadline passed.
    case timedOut
    /// The cancellation was asked for.
    case cancelled
}

/// A 32-bit word in memory that processes share: an atomic, and an address the kernel can put threads to sleep on (futex(2)).
///
/// It does not own the memory. Waits and wakes work between processes and across different mappings of the same page.
@usableFromInline
package struct SharedWord: @unchecked Sendable {
    // Safe because every access is atomic, and whoever makes a word keeps its memory mapped.
    @usableFromInline package let pointer: UnsafeMutablePointer<Atomic<UInt32>>

    /// Creates a view of the word at `pointer`.
    @inlinable
    @inline(__always)
    package init(_ pointer: UnsafeMutablePointer<Atomic<UInt32>>) {
        self.pointer = pointer
    }

    /// Creates a view of the word that lies `offset` bytes from `base`.
    @inlinable
    @inline(__always)
    package init(_ base: UnsafeMutableRawPointer, offset: Int) {
        pointer = (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// The address for the kernel.
    var raw: UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: UInt32.self)
    }

    /// Sets the first value, before anybody else knows the word.
    package func initialize(_ value: UInt32) {
        pointer.initialize(to: Atomic(value))
    }

    /// Frees a word that was allocated on its own.
    package func deallocate() {
        pointer.deallocate()
    }

    // MARK: - Atomic access

    /// Returns the value.
    @inlinable
    @inline(__always)
    package func load(_ ordering: AtomicLoadOrdering = .acquiring) -> UInt32 {
        switch ordering {
        case .relaxed: pointer.pointee.load(ordering: .relaxed)
        default: pointer.pointee.load(ordering: .acquiring)
        }
    }

    /// Returns the value, in sequentially consistent order.
    @inlinable
    @inline(__always)
    package func loadInOrder() -> UInt32 {
        pointer.pointee.load(ordering: .sequentiallyConsistent)
    }

    /// Sets the value; what this thread wrote before is visible to whoever loads it with acquiring order.
    @inlinable
    @inline(__always)
    package func store(_ value: UInt32) {
        pointer.pointee.store(value, ordering: .releasing)
    }

    /// Sets the value and returns the one before, in sequentially consistent order.
    @inlinable
    @inline(__always)
    @discardableResult
    package func exchange(_ value: UInt32) -> UInt32 {
        pointer.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }

    /// Replaces `expected` by `desired` and returns whether that was the value, in sequentially consistent order.
    @inlinable
    @inline(__always)
    package func replace(_ expected: UInt32, with desired: UInt32) -> Bool {
        pointer.pointee.compareExchange(
            expected: expected,
            desired: desired,
            ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Adds to the value, wrapping around, and returns the new one.
    @inlinable
    @inline(__always)
    @discardableResult
    package func add(_ amount: UInt32) -> UInt32 {
        pointer.pointee.wrappingAdd(amount, ordering: .sequentiallyConsistent).newValue
    }

    // MARK: - Sleeping and waking

    /// Sleeps while the word has the value `expected`, at most until `deadline`.
    package func wait(
        while expected: UInt32,
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil
    ) -> FutexWaitResult {
        guard cancellation == nil else {
            return FutexSet(self, is: expected).wait(until: deadline, cancellation: cancellation)
        }
        guard mp_futex_wait(raw, expected, deadline.futexTime) != 0, errno == ETIMEDOUT else { return .lookAgain }
        return .timedOut
    }

    /// Wakes at most `count` of the threads that sleep on the word, in whatever process, and returns how many slept.
    @discardableResult
    package func wake(_ count: Int32) -> Int32 {
        mp_futex_wake(raw, count)
    }

    /// Lets at most `count` of the threads that sleep on the word sleep on `target` from now on, as if they had always done so, and returns how many slept; nil, with nothing
    /// done, when the word is not `expected`.
    func requeue(_ count: Int32, to target: SharedWord, while expected: UInt32) -> Int32? {
        let moved = mp_futex_requeue(raw, expected, count, target.raw)
        return moved < 0 ? nil : moved
    }

    /// Sets `bits` and wakes nobody, in sequentially consistent order.
    func setBits(_ bits: UInt32) {
        pointer.pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent)
    }

    /// Sets `bits` (below 2,048, or one single bit) and wakes everybody, in one step: no kill can come between the two.
    package func setBitsAndWakeAll(_ bits: UInt32) {
        _ = mp_futex_set_bits_and_wake_all(raw, bits)
    }

    /// Adds `amount` (below 2,048) and wakes everybody, in one step: no kill can come between the two.
    func addAndWakeAll(_ amount: UInt32) {
        _ = mp_futex_add_and_wake_all(raw, amount)
    }

    /// Stores 0 and wakes at most `count` of those who sleep, in one step: whoever is stopped or killed has done both or neither.
    package func clearAndWake(_ count: Int32) {
        _ = mp_futex_clear_and_wake(raw, count)
    }
}
