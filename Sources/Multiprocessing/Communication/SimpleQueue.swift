// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// A ``Queue`` without a capacity: for parity with Python.
///
/// There it is the queue without a thread in the background, and without timeouts. Here no queue has such a thread, and `SimpleQueue` can do what ``Queue`` can.
public final class SimpleQueue<Element: Codable & Sendable>: Codable, Sendable {
    let core: QueueCore

    /// Makes a queue.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    public init() throws {
        core = try QueueCore(capacity: nil)
    }

    // MARK: - Putting

    /// Puts an element; the thread is blocked until there is room.
    ///
    /// - Parameters:
    ///   - element: What is put.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was no room in time, because 268,435,455 elements are there; `QueueError` (`closed`, `shutDown`, `elementTooLarge`); what encoding throws; `SystemError` when memory is short.
    @available(*, noasync)
    public func put(_ element: Element, timeout: Duration? = nil) throws {
        guard try !core.put(element, until: Deadline(timeout: timeout)) else { return }
        throw TimeoutError(operation: "putting an element into a queue", timeout: timeout ?? .zero)
    }

    /// Puts an element; the task is suspended until there is room.
    ///
    /// - Parameters:
    ///   - element: What is put.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `put`; `CancellationError` when the task was cancelled before, or is while it waits: the element is not put then.
    public func put(_ element: Element, timeout: Duration? = nil) async throws {
        guard try await !core.put(element, until: Deadline(timeout: timeout)) else { return }
        throw TimeoutError(operation: "putting an element into a queue", timeout: timeout ?? .zero)
    }

    /// Puts an element if there is room now, and returns whether there was. Does not wait.
    ///
    /// - Throws: As `put`, but no `TimeoutError`.
    @discardableResult
    public func tryPut(_ element: Element) throws -> Bool {
        try core.put(element, until: .passed)
    }

    // MARK: - Taking

    /// Takes the oldest element; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was none in time; `QueueError` (`closed`, `shutDown`); `SystemError` when there is no room for the descriptors of handles in the element, which is lost then.
    @available(*, noasync)
    public func get(timeout: Duration? = nil) throws -> Element {
        try core.get(Element.self, timeout: timeout)
    }

    /// Takes the oldest element; the task is suspended until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `get`; `CancellationError` when the task was cancelled before, or is while it waits: no element is taken then.
    public func get(timeout: Duration? = nil) async throws -> Element {
        if let element = try await core.get(Element.self, until: Deadline(timeout: timeout)) { return element }
        throw TimeoutError(operation: "getting an element from a queue", timeout: timeout ?? .zero)
    }

    /// Takes the oldest element if there is one now. Does not wait.
    ///
    /// - Throws: As `get`, but no `TimeoutError`.
    public func tryGet() throws -> Element? {
        try core.tryGet(Element.self)
    }

    // MARK: - Questions

    /// The number of elements at this moment.
    public var count: Int { core.ring.count }

    /// Whether there is no element at this moment. Right after a `put` there is one, unless somebody took it.
    public var isEmpty: Bool { core.ring.isEmpty }

    /// Whether there are as many elements at this moment as a queue can hold at all: hardly ever.
    public var isFull: Bool { core.ring.count >= core.ring.capacity }

    // MARK: - Ending

    /// Ends the use of this handle: calls under way with it that wait, and every further call that puts, takes or waits, throw `QueueError` (`closed`), and a `Connection.wait` under way for it returns.
    /// Questions and `shutDown` still work; other handles, and what is in the queue, are not concerned.
    public func close() {
        core.close()
    }

    /// Ends the queue for all processes: nothing can be put any more, and what is in it can still be taken; after that `get` throws `QueueError` (`shutDown`) and iterations end.
    /// Waits for a `put` that is under way, a second at most.
    ///
    /// - Parameter immediate: Whether what is in it can be taken no more either.
    public func shutDown(immediate: Bool = false) {
        core.ring.shutDown(now: immediate)
        core.tasks.wake()
    }

    /// ``shutDown(immediate:)`` as Python spells it.
    public func shutdown(immediate: Bool = false) {
        shutDown(immediate: immediate)
    }

    // MARK: - Sending

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
