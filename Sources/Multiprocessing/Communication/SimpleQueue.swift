// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// A ``Queue`` without capacity, timeouts and shutting down: for parity with Python.
///
/// There it is the queue without a thread in the background. Here no queue has one, and `SimpleQueue` is as fast and as safe as ``Queue``.
public final class SimpleQueue<Element: Codable & Sendable>: Codable, Sendable {
    let core: QueueCore

    /// Makes a queue.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public init() throws {
        core = try QueueCore(capacity: nil)
    }

    /// Puts an element. The thread is blocked only while others put.
    ///
    /// - Throws: `QueueError` (`closed`, `elementTooLarge`); what encoding throws; `SystemError` when memory is short.
    @available(*, noasync)
    public func put(_ element: Element) throws {
        _ = try core.put(element, until: .never)
    }

    /// Puts an element.
    ///
    /// - Throws: As the blocking `put`; `CancellationError`.
    public func put(_ element: Element) async throws {
        _ = try await core.put(element, until: .never)
    }

    /// Takes the oldest element; the thread is blocked until there is one.
    ///
    /// - Throws: `QueueError` (`closed`); `SystemError` when there is no room for the descriptors of handles in the element, which is lost then.
    @available(*, noasync)
    public func get() throws -> Element {
        try core.get(Element.self, timeout: nil)
    }

    /// Takes the oldest element; the task is suspended until there is one.
    ///
    /// - Throws: As the blocking `get`; `CancellationError` when the task is cancelled while it waits: no element is taken then.
    public func get() async throws -> Element {
        guard let element = try await core.get(Element.self, until: .never) else {
            preconditionFailure("waiting for ever has an end")
        }
        return element
    }

    /// Whether there is no element at this moment.
    public var isEmpty: Bool { core.ring.isEmpty }

    /// Ends the use of this handle: every further call throws `QueueError` (`closed`). Other handles are not concerned.
    public func close() {
        core.close()
    }

    /// Opens the queue in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        core = try QueueCore(type: Self.self, from: decoder)
    }

    /// Encodes the queue, not the elements, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try core.encode(type: Self.self, to: encoder)
    }
}
