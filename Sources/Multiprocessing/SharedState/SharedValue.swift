// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A value that processes share, with a lock.
///
/// ```swift
/// let counter = try SharedValue(0)
/// let children = (0..<4).map { _ in ChildProcess { try counter.withLock { $0 += 1 } } }
/// ```
///
/// The value is any `BitwiseCopyable` type without pointers: numbers, Booleans, tuples and structures of such. `counter.value += 1` is a read and a write with another process' write
/// between them; use `withLock(_:)` for that, or ``SharedAtomic``.
///
/// The memory has no name and is freed with its last user.
public final class SharedValue<T: BitwiseCopyable & Sendable>: Codable, Sendable {
    @usableFromInline
    let storage: LockedStorage

    /// Where the value lies behind the lock, aligned for every type.
    private static var contentSize: Int {
        LockedStorage.elementOffset - HandleMemory.contentOffset + MemoryLayout<T>.size
    }

    /// Puts `value` into new shared memory.
    ///
    /// - Throws: `SharedStateError` (`containsPointer`) when `T` holds an address; `SystemError` when there is no memory or descriptor for it.
    public init(_ value: T) throws {
        try PointerCheck.check(T.self, as: Self.self)
        let region = try HandleMemory.make(.value, contentSize: Self.contentSize, elementSize: MemoryLayout<T>.size)
        storage = LockedStorage(region)
        storage.elements.storeBytes(of: value, as: T.self)
    }

    // MARK: - The value

    /// The value; read, or written, with the lock held, for which the thread is blocked.
    ///
    /// An owner that died with the lock is not learnt of here; the next `withLock(_:)` is told.
    public var value: T {
        get { storage.withLockWhateverHappened { storage.elements.load(as: T.self) } }
        set { storage.withLockWhateverHappened { storage.elements.storeBytes(of: newValue, as: T.self) } }
    }

    /// Changes the value with the lock held; the thread is blocked until it is.
    ///
    /// `body` works on a copy, which is written back when it ends, also by an error: a process that is killed in `body` leaves the value as it was.
    /// What `body` itself writes in another way, by `value` or by a call of this method inside it, is overwritten then.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free.
    @inlinable
    @available(*, noasync)
    public func withLock<R>(_ body: (inout T) throws -> R) throws -> R {
        try storage.acquire()
        defer { storage.release() }
        var copy = storage.elements.load(as: T.self)
        defer { storage.elements.storeBytes(of: copy, as: T.self) }
        return try body(&copy)
    }

    /// Changes the value with the lock held; the task is suspended until it is.
    ///
    /// `body` works on a copy, which is written back when it ends, also by an error: a process that is killed in `body` leaves the value as it was.
    /// What `body` itself writes in another way, by `value` or by a call of this method inside it, is overwritten then.
    ///
    /// - Throws: What `body` throws; ``OwnerDied`` when the last owner died with the lock, with `body` not run and the lock free; `CancellationError`.
    public func withLock<R>(_ body: (inout T) throws -> R) async throws -> R {
        try await storage.core.withLock { () throws -> R in try change(body) }
    }

    /// Changes the value with the lock held, whether or not its last owner died with it; the thread is blocked until it is held.
    @available(*, noasync)
    public func recover<R>(_ body: (inout T) throws -> R) throws -> R {
        try storage.core.recover { () throws -> R in try change(body) }
    }

    /// Changes the value with the lock held, whether or not its last owner died with it; the task is suspended until it is held.
    ///
    /// - Throws: What `body` throws; `CancellationError` when the task is cancelled while it waits.
    public func recover<R>(_ body: (inout T) throws -> R) async throws -> R {
        try await storage.core.recover { () throws -> R in try change(body) }
    }

    /// Changes the value, with the lock held.
    private func change<R>(_ body: (inout T) throws -> R) throws -> R {
        var copy = storage.elements.load(as: T.self)
        defer { storage.elements.storeBytes(of: copy, as: T.self) }
        return try body(&copy)
    }

    // MARK: - Sending

    /// Decodes the value's place in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let region = try HandleMemory.decode(
            .value,
            contentSize: Self.contentSize,
            elementSize: MemoryLayout<T>.size,
            type: Self.self,
            from: try decoder.singleValueContainer(),
            decoder
        )
        storage = LockedStorage(region)
    }

    /// Encodes the value's place, not the value, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        let region = storage.core.region
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: encoder)
    }
}

extension SharedValue: CustomStringConvertible {
    /// The type, the value, and who holds the lock.
    public var description: String { "SharedValue(\(value), owner: \(storage.core.ownerDescription))" }
}
