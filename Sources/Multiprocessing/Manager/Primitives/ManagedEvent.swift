// SPDX-License-Identifier: Apache-2.0

/// A flag in a ``Manager``, which clients on one machine or several set, clear and wait for.
///
/// As ``Event``, which is many times faster and serves the processes of one machine. Setting releases everybody who waits, also when the flag is cleared again at once; who is killed while waiting costs the others
/// nothing.
public final class ManagedEvent: Codable, Sendable {
    let handle: Managed<EventRoom>

    /// Creates the handle of an event that lives in a manager.
    init(_ handle: Managed<EventRoom>) {
        self.handle = handle
    }

    /// Waits until the event is set; the thread is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether it was set in time.
    /// - Throws: ``ManagerLost``.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Bool {
        try handle.ask(.wait, timeout: timeout).isInTime()
    }

    /// Waits until the event is set; the task is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Returns: Whether it was set in time.
    /// - Throws: ``ManagerLost``; `CancellationError` when the task is cancelled while it waits.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Bool {
        try await handle.ask(.wait, timeout: timeout).isInTime()
    }

    /// Sets the event and releases everybody who waits; the thread is blocked until that is done.
    @available(*, noasync)
    public func set() throws {
        _ = try handle.ask(.set)
    }

    /// Sets the event and releases everybody who waits; the task is suspended until that is done.
    public func set() async throws {
        _ = try await handle.askUncancelled(.set)
    }

    /// Makes the event unset; the thread is blocked until that is done.
    @available(*, noasync)
    public func clear() throws {
        _ = try handle.ask(.clear)
    }

    /// Makes the event unset; the task is suspended until that is done.
    public func clear() async throws {
        _ = try await handle.askUncancelled(.clear)
    }

    /// Returns whether the event is set; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func isSet() throws -> Bool {
        try handle.ask(.look).number() == 1
    }

    /// Returns whether the event is set; the task is suspended until the answer is there.
    public func isSet() async throws -> Bool {
        try await handle.ask(.look).number() == 1
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

extension ManagedEvent: Hashable {
    /// Whether both are handles of the same one.
    public static func == (a: ManagedEvent, b: ManagedEvent) -> Bool { a.handle == b.handle }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedEvent: CustomStringConvertible {
    /// The type and the number of the value; it is elsewhere.
    public var description: String { "ManagedEvent\(handle)" }
}
