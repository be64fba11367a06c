// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A flag that processes set, clear and wait for.
///
/// ```swift
/// let ready = try Event()
/// try ChildProcess { prepare(); ready.set() }.start()
/// try ready.wait(timeout: .seconds(5))
/// ```
///
/// Setting releases everybody who waits, also when the flag is cleared again at once. No call waits for those it wakes, so a process that is killed while it waits, or while it sets, costs
/// the others nothing.
public final class Event: Codable, Sendable, CustomStringConvertible {
    /// Keeps the memory.
    private let region: MemoryRegion

    private var state: EventState { EventState(region.base + HandleMemory.contentOffset) }

    /// Makes an event that is not set.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public init() throws {
        region = try HandleMemory.make(.event, contentSize: EventState.size)
    }

    /// Whether the event is set.
    public var isSet: Bool { state.isSet }

    /// Sets the event and releases everybody who waits. Never blocks.
    public func set() { state.set() }

    /// Makes the event unset. Never blocks.
    public func clear() { state.clear() }

    /// Waits until the event is set; the thread is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was set in time.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Bool {
        state.wait(until: Deadline(timeout: timeout)) == .acquired
    }

    /// Waits until the event is set; the task is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: Whether it was set in time.
    /// - Throws: `CancellationError` when the task is cancelled while it waits; `SystemError` when it has to wait and the system gives no thread for that.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        let immediate = state.wait(until: .passed)
        guard immediate != .acquired, !deadline.hasPassed else { return immediate == .acquired }
        let outcome = try await BlockingWaiters.run { [self] cancellation in
            state.wait(until: deadline, cancellation: cancellation)
        }
        guard outcome != .cancelled else { throw CancellationError() }
        return outcome == .acquired
    }

    /// The type and whether it is set.
    public var description: String { isSet ? "Event(set)" : "Event(unset)" }

    /// Decodes the event in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        region = try HandleMemory.decode(
            .event,
            contentSize: EventState.size,
            type: Self.self,
            from: container,
            decoder
        )
    }

    /// Encodes the event for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: encoder)
    }
}
