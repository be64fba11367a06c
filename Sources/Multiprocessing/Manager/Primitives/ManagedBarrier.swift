// SPDX-License-Identifier: Apache-2.0

/// A point in a ``Manager`` that a number of clients, on one machine or several, reach together, again and again.
///
/// As ``Barrier``, which is many times faster and serves the processes of one machine. A party that is killed while it waits, or whose connection breaks, breaks the barrier for the others: the manager sees it go, which
/// processes that share memory do not.
public final class ManagedBarrier: Codable, Sendable {
    let handle: Managed<BarrierRoom>

    /// Creates the handle of a barrier that lives in a manager.
    init(_ handle: Managed<BarrierRoom>) {
        self.handle = handle
    }

    /// Waits until all parties have arrived; the thread is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait (nil: the barrier's own); when it ends the barrier is broken for all.
    /// - Returns: This party's place in the order of arrival: 0 for exactly one of them.
    /// - Throws: ``BrokenBarrier``; what the action throws, for the last party to arrive; ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Int {
        try handle.ask(.wait, timeout: timeout).number()
    }

    /// Waits until all parties have arrived; the task is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait (nil: the barrier's own); when it ends the barrier is broken for all.
    /// - Returns: This party's place in the order of arrival: 0 for exactly one of them.
    /// - Throws: ``BrokenBarrier``; what the action throws, for the last party to arrive; ``ManagerLost``; `CancellationError` when the task is cancelled while it waits, which breaks the barrier for the others.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Int {
        try await handle.ask(.wait, timeout: timeout).number()
    }

    /// Breaks the barrier: those who wait, and those who come, get ``BrokenBarrier`` until `reset()`; the thread is blocked until that is done.
    @available(*, noasync)
    public func abort() throws {
        _ = try handle.ask(.abort)
    }

    /// Breaks the barrier: those who wait, and those who come, get ``BrokenBarrier`` until `reset()`; the task is suspended until that is done.
    public func abort() async throws {
        _ = try await handle.askUncancelled(.abort)
    }

    /// Makes the barrier as new, where those who wait get ``BrokenBarrier``; the thread is blocked until that is done.
    @available(*, noasync)
    public func reset() throws {
        _ = try handle.ask(.reset)
    }

    /// Makes the barrier as new, where those who wait get ``BrokenBarrier``; the task is suspended until that is done.
    public func reset() async throws {
        _ = try await handle.askUncancelled(.reset)
    }

    /// Returns how many parties pass together; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func parties() throws -> Int {
        try handle.ask(.parties).number()
    }

    /// Returns how many parties pass together; the task is suspended until the answer is there.
    public func parties() async throws -> Int {
        try await handle.ask(.parties).number()
    }

    /// Returns how many parties wait at this moment; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func waitingCount() throws -> Int {
        try handle.ask(.waiting).number()
    }

    /// Returns how many parties wait at this moment; the task is suspended until the answer is there.
    public func waitingCount() async throws -> Int {
        try await handle.ask(.waiting).number()
    }

    /// Returns whether the barrier is broken; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func isBroken() throws -> Bool {
        try handle.ask(.isBroken).number() == 1
    }

    /// Returns whether the barrier is broken; the task is suspended until the answer is there.
    public func isBroken() async throws -> Bool {
        try await handle.ask(.isBroken).number() == 1
    }

    // MARK: - Sending

    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost``.
    public init(from decoder: any Decoder) throws {
        handle = try Managed(from: decoder)
    }

    /// Encodes the handle, not what it stands for, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost``.
    public func encode(to encoder: any Encoder) throws {
        try handle.encode(to: encoder)
    }
}

extension ManagedBarrier: Hashable {
    /// Whether both are handles of the same one.
    public static func == (a: ManagedBarrier, b: ManagedBarrier) -> Bool { a.handle == b.handle }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedBarrier: CustomStringConvertible {
    /// The type and the number of the value; it is elsewhere.
    public var description: String { "ManagedBarrier\(handle)" }
}
