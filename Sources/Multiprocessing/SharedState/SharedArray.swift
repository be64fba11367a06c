// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// An array of fixed length that processes share, with a lock.
///
/// ```swift
/// let squares = try SharedArray<Int>(count: 1000)
/// let child = ChildProcess { for i in squares.indices { squares[i] = i * i } }
/// ```
///
/// Its elements are any `BitwiseCopyable` type without pointers. They are read and written in place, without the lock: processes that write to the same elements at the same time need
/// `withLock(_:)`, those that share the indices among them do not. Loops over many elements are fastest through ``span`` and ``mutableSpan``.
///
/// The memory has no name, is all there from the start, and is freed with its last user.
public final class SharedArray<Element: BitwiseCopyable & Sendable>: Codable, Sendable {
    @usableFromInline
    let storage: LockedStorage

    /// The number of elements, which never changes.
    public let count: Int

    /// The first element.
    @usableFromInline
    var elements: UnsafeMutablePointer<Element> { storage.elements.assumingMemoryBound(to: Element.self) }

    private static func contentSize(_ count: Int) -> Int? {
        let (size, overflow) = MemoryLayout<Element>.stride.multipliedReportingOverflow(by: count)
        let (sum, sumOverflow) = size.addingReportingOverflow(LockedStorage.elementOffset)
        return overflow || sumOverflow || count < 0 ? nil : sum - HandleMemory.contentOffset
    }

    // MARK: - Making

    /// Makes an array of `count` elements whose bytes are all zero, which has to be a value of their type.
    ///
    /// Takes about 0.3 milliseconds a mebibyte, since the memory is allocated here and not when it is touched.
    ///
    /// - Throws: `SharedStateError`: `invalidSize` when `count` is negative or too large for an address, `containsPointer` when the elements hold an address. `SystemError`: ENOMEM when the machine
    ///   has less memory to give.
    public init(count: Int) throws {
        try PointerCheck.check(Element.self, as: Self.self)
        guard let contentSize = Self.contentSize(count) else {
            throw SharedStateError(.invalidSize, "an array in shared memory cannot have \(count) elements")
        }
        let region = try HandleMemory.make(
            .array,
            contentSize: Swift.max(contentSize, LockedStorage.elementOffset),
            elementSize: MemoryLayout<Element>.size,
            count: count
        )
        storage = LockedStorage(region)
        self.count = count
    }

    /// Makes an array of the given elements.
    ///
    /// - Throws: As ``init(count:)``.
    public convenience init(_ elements: some Collection<Element>) throws {
        try self.init(count: elements.count)
        _ = UnsafeMutableBufferPointer(start: self.elements, count: count).initialize(from: elements)
    }

    /// Makes an array of `count` times the same element.
    ///
    /// - Throws: As ``init(count:)``.
    public convenience init(repeating element: Element, count: Int) throws {
        try self.init(count: count)
        UnsafeMutableBufferPointer(start: elements, count: count).initialize(repeating: element)
    }

    // MARK: - In place

    /// The elements, for reading without a copy. Tied to this object, which keeps them mapped; other processes may change them meanwhile.
    public var span: Span<Element> {
        @inlinable
        @_lifetime(borrow self)
        get {
            let span = unsafe Span(_unsafeStart: elements, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The elements, for reading and writing without a copy. Tied to this object, which keeps them mapped; nothing keeps other threads and processes from changing them meanwhile.
    public var mutableSpan: MutableSpan<Element> {
        @inlinable
        @_lifetime(borrow self)
        get {
            let span = unsafe MutableSpan(_unsafeStart: elements, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Calls `body` with the elements, for interfaces that want a buffer pointer; it is valid during the call only.
    @inlinable
    public func withUnsafeMutableBufferPointer<R>(
        _ body: (UnsafeMutableBufferPointer<Element>) throws -> R
    ) rethrows -> R {
        try withExtendedLifetime(self) { try body(UnsafeMutableBufferPointer(start: elements, count: count)) }
    }

    // MARK: - The lock

    /// Runs `body` with the array's lock held; the thread is blocked until it is. The lock is recursive.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free.
    @inlinable
    @available(*, noasync)
    public func withLock<R>(_ body: () throws -> R) throws -> R {
        try storage.acquire()
        defer { storage.release() }
        return try body()
    }

    /// Runs `body` with the array's lock held; the task is suspended until it is. The lock is recursive.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free; `CancellationError`.
    public func withLock<R>(_ body: () throws -> R) async throws -> R {
        try await storage.core.withLock(body)
    }

    /// Runs `body` with the array's lock held, whether or not its last owner died with it; the thread is blocked until it is held.
    @available(*, noasync)
    public func recover<R>(_ body: () throws -> R) throws -> R {
        try storage.core.recover(body)
    }

    /// Runs `body` with the array's lock held, whether or not its last owner died with it; the task is suspended until it is held.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits.
    public func recover<R>(_ body: () throws -> R) async throws -> R {
        try await storage.core.recover(body)
    }

    // MARK: - Sending

    /// Decodes the array's place in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let region = try HandleMemory.decode(
            .array,
            contentSize: LockedStorage.elementOffset,
            elementSize: MemoryLayout<Element>.size,
            type: Self.self,
            from: container,
            decoder
        )
        count = HandleMemory.count(of: region)
        guard let needed = Self.contentSize(count), region.size >= HandleMemory.contentOffset + needed else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "the shared memory is too small for \(Self.self)"
            )
        }
        storage = LockedStorage(region)
    }

    /// Encodes the array's place, not the elements, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        let region = storage.core.region
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: encoder)
    }
}
