// SPDX-License-Identifier: Apache-2.0
//
// The growing end of a message. One allocation, reused from message to message; nothing is visited that can be copied.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// A growable buffer of bytes with writes of the primitive values that messages are made of.
///
/// It owns its memory alone (hence `~Copyable`): what it hands out by `withUnsafeBytes` is the memory itself, without a copy. Reuse one writer for
/// many messages by `removeAll(keepingCapacity:)`, so that its pages stay warm.
@usableFromInline
package struct WireWriter: ~Copyable {
    /// The memory; nil until the first byte is written.
    @usableFromInline package private(set) var base: UnsafeMutableRawPointer?

    /// The number of bytes written so far.
    @usableFromInline package private(set) var count = 0

    /// The number of bytes that fit before the memory has to grow.
    @usableFromInline package private(set) var capacity = 0

    /// Whether the memory was lent by `lender`, and is not this writer's to free.
    package private(set) var isLent = false

    /// Asked for memory of at least so many bytes when something large comes in one piece; it may refuse. What it lends has to last until the bytes are forgotten or have grown out of it.
    package var lender: ((_ size: Int) -> UnsafeMutableRawBufferPointer?)?

    /// What is large enough to ask for.
    private static var largePiece: Int { 1 << 20 }

    /// Whether the memory is somebody else's.
    private let isBorrowed: Bool

    /// Creates an empty writer with room for `capacity` bytes.
    package init(capacity: Int = 0) {
        isBorrowed = false
        if capacity > 0 { grow(by: capacity) }
    }

    /// Creates an empty writer into `memory`, which stays the caller's and must be enough for all that is written.
    init(borrowing memory: UnsafeMutableRawPointer, capacity: Int) {
        isBorrowed = true
        base = memory
        self.capacity = capacity
    }

    deinit {
        if !isBorrowed, !isLent { free(base) }
    }

    // MARK: - Primitive values

    /// Writes an integer at its own width, little-endian.
    @inlinable
    @inline(__always)
    package mutating func write<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        reserve(MemoryLayout<T>.size).storeBytes(of: value.littleEndian, as: T.self)
        advance(by: MemoryLayout<T>.size)
    }

    /// Writes an unsigned number in groups of seven bits, lowest first: one byte for numbers under 128, at most ten.
    @inlinable
    package mutating func writeVarint(_ value: UInt64) {
        let target = reserve(10)
        var rest = value
        var length = 0

        while rest >= 0x80 {
            target.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: length, as: UInt8.self)
            rest >>= 7
            length += 1
        }

        target.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: length, as: UInt8.self)
        advance(by: length + 1)
    }

    /// Writes a string as the length of its UTF-8 and the UTF-8 itself.
    package mutating func writeString(_ value: String) {
        var contiguous = value
        contiguous.withUTF8 { writeLengthPrefixedBytes(UnsafeRawBufferPointer($0)) }
    }

    /// Writes bytes as they are; the reader has to know how many.
    @inlinable
    package mutating func writeBytes(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if bytes.count <= 1 << 20 {
            reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count)
        } else {
            copyLarge(source, bytes.count)
        }
        advance(by: bytes.count)
    }

    /// Stores many bytes where the next ones go.
    @usableFromInline
    @inline(never)
    mutating func copyLarge(_ source: UnsafeRawPointer, _ count: Int) {
        LargeCopy.copy(source, to: reserve(count), count: count)
    }

    /// Writes bytes after their number.
    @inlinable
    package mutating func writeLengthPrefixedBytes(_ bytes: UnsafeRawBufferPointer) {
        writeVarint(UInt64(bytes.count))
        writeBytes(bytes)
    }

    // MARK: - The bytes as a whole

    /// Calls `body` with the bytes written so far, in place. The pointer must not outlive the call.
    @inlinable
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Forgets the bytes, and with `keepingCapacity` keeps the memory for the next message.
    package mutating func removeAll(keepingCapacity: Bool = true) {
        count = 0
        guard !isBorrowed, !keepingCapacity || isLent else { return }
        if !isLent { free(base) }
        isLent = false
        base = nil
        capacity = 0
    }

    /// Forgets every byte from `count` on: what a failed attempt wrote.
    package mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count, "a writer can only be cut back to a length it has had")
        self.count = count
    }

    // MARK: - Filling in later

    /// Replaces bytes already written at `offset` by an integer, little-endian: a length that was not known before.
    @inlinable
    @inline(__always)
    package mutating func overwrite<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
        guard let base, offset >= 0, offset + MemoryLayout<T>.size <= count else {
            preconditionFailure("a writer can only overwrite bytes that were written")
        }
        base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    // MARK: - Memory

    /// Makes room for `byteCount` more bytes and returns where they go. They count as written only after `advance(by:)`.
    @inlinable
    @inline(__always)
    package mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > capacity - count || base == nil { grow(by: byteCount) }
        guard let base else { preconditionFailure("a writer has memory once it has grown") }
        return base + count
    }

    /// Counts `byteCount` bytes that were stored where `reserve` said.
    @inlinable
    @inline(__always)
    package mutating func advance(by byteCount: Int) {
        assert(byteCount <= capacity - count, "more bytes stored than reserved")
        count += byteCount
    }

    /// Doubles the memory, or more where `byteCount` needs it.
    @usableFromInline
    @inline(never)
    package mutating func grow(by byteCount: Int) {
        precondition(!isBorrowed, "a value was longer than it had said")
        let (needed, overflow) = count.addingReportingOverflow(byteCount)
        precondition(!overflow, "a message cannot be longer than the address space")
        if byteCount >= Self.largePiece, count < Self.largePiece, !isLent, borrow(needed) { return }
        let larger = max(needed, capacity.multipliedReportingOverflow(by: 2).partialValue, 64)
        let memory = isLent ? malloc(larger) : realloc(base, larger)
        guard let memory else { fatalError("no memory for a message of \(larger) bytes") }
        if isLent, let base { memcpy(memory, base, count) }
        mp_advise_large(memory, larger)
        isLent = false
        base = memory
        capacity = larger
    }

    /// Goes on in memory that is lent; false when none is.
    private mutating func borrow(_ size: Int) -> Bool {
        // A little more, for what comes behind the large piece.
        guard let lent = lender?(size + 4096), let memory = lent.baseAddress, lent.count >= size else { return false }
        if let base { memcpy(memory, base, count) }
        free(base)
        base = memory
        capacity = lent.count
        isLent = true
        return true
    }
}

/// Safe because a writer owns its memory alone, so whoever holds the writer is the only one to touch it.
extension WireWriter: @unchecked Sendable {}
