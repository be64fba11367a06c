// SPDX-License-Identifier: Apache-2.0

/// Elements on their way between clients of a ``Manager``, on one machine or several, first in, first out.
///
/// ```swift
/// let queue = try manager.hostedQueue(of: String.self, capacity: 100)
/// try manager.names.set(queue, forName: "jobs")
/// // elsewhere
/// let queue = try manager.names.get("jobs", as: ManagedQueue<String>.self)
/// while let job = try queue?.get() { print(job) }
/// ```
///
/// As ``Queue`` and ``JoinableQueue``, which are many times faster and serve the processes of one machine. The elements are in the manager: an element that was put is there whatever becomes of its producer. Producers and
/// consumers are served in the order they came. Each element is taken by exactly one consumer. A consumer that is killed while it waits takes nothing with it, or the element that was just being sent to it; so does one
/// whose connection breaks. The queue lives as long as any handle of it.
///
/// Over TCP elements can hold handles of the same manager, and no others.
public final class ManagedQueue<Element: Codable & Sendable>: Codable, Sendable {
    let handle: Managed<QueueRoom<Element>>

    /// Creates the handle of a queue that lives in a manager.
    init(_ handle: Managed<QueueRoom<Element>>) {
        self.handle = handle
    }

    // MARK: - Putting

    /// Puts an element; the thread is blocked until there is room.
    ///
    /// - Parameters:
    ///   - element: What is put.
    ///   - timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was no room in time; `QueueError` (`shutDown`); what encoding throws; ``ManagerLost``.
    @available(*, noasync)
    public func put(_ element: Element, timeout: Duration? = nil) throws {
        guard try handle.ask(QueueRoom.Request(.put, element), timeout: timeout).isInTime() else {
            throw TimeoutError(operation: "putting an element into a manager's queue", timeout: timeout ?? .zero)
        }
    }

    /// Puts an element; the task is suspended until there is room.
    ///
    /// - Parameters:
    ///   - element: What is put.
    ///   - timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was no room in time; `QueueError` (`shutDown`); what encoding throws; ``ManagerLost``; `CancellationError` when the task is cancelled while it waits: the element is not put then.
    public func put(_ element: Element, timeout: Duration? = nil) async throws {
        guard try await handle.ask(QueueRoom.Request(.put, element), timeout: timeout).isInTime() else {
            throw TimeoutError(operation: "putting an element into a manager's queue", timeout: timeout ?? .zero)
        }
    }

    /// Puts an element if there is room now, and returns whether there was; the thread is blocked until that is known.
    ///
    /// - Throws: As `put`, but no `TimeoutError`.
    @available(*, noasync)
    @discardableResult
    public func tryPut(_ element: Element) throws -> Bool {
        try handle.ask(QueueRoom.Request(.put, element), timeout: .zero).isInTime()
    }

    /// Puts an element if there is room now, and returns whether there was; the task is suspended until that is known.
    ///
    /// - Throws: As `put`, but no `TimeoutError`.
    @discardableResult
    public func tryPut(_ element: Element) async throws -> Bool {
        try await handle.ask(QueueRoom.Request(.put, element), timeout: .zero).isInTime()
    }

    // MARK: - Taking

    /// Takes the oldest element; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was none in time; `QueueError` (`shutDown`); ``ManagerLost``.
    @available(*, noasync)
    public func get(timeout: Duration? = nil) throws -> Element {
        try taken(handle.ask(QueueRoom.Request(.get), timeout: timeout), timeout)
    }

    /// Takes the oldest element; the task is suspended until there is one.
    ///
    /// - Parameter timeout: The longest time to wait, in the manager: nil for ever, zero or less not at all.
    /// - Throws: `TimeoutError` when there was none in time; `QueueError` (`shutDown`); ``ManagerLost``; `CancellationError` when the task is cancelled while it waits: no element is taken then.
    public func get(timeout: Duration? = nil) async throws -> Element {
        try taken(await handle.ask(QueueRoom.Request(.get), timeout: timeout), timeout)
    }

    private func taken(_ answer: RoomAnswer<Element>, _ timeout: Duration?) throws -> Element {
        if try answer.isInTime(), case .element(let element) = answer { return element }
        throw TimeoutError(operation: "getting an element from a manager's queue", timeout: timeout ?? .zero)
    }

    /// Takes the oldest element if there is one now, and returns nil otherwise; the thread is blocked until that is known.
    ///
    /// - Throws: As `get`, but no `TimeoutError`.
    @available(*, noasync)
    public func tryGet() throws -> Element? {
        try takenIfAny(handle.ask(QueueRoom.Request(.get), timeout: .zero))
    }

    /// Takes the oldest element if there is one now, and returns nil otherwise; the task is suspended until that is known.
    ///
    /// - Throws: As `get`, but no `TimeoutError`.
    public func tryGet() async throws -> Element? {
        try takenIfAny(await handle.ask(QueueRoom.Request(.get), timeout: .zero))
    }

    private func takenIfAny(_ answer: RoomAnswer<Element>) throws -> Element? {
        guard try answer.isInTime(), case .element(let element) = answer else { return nil }
        return element
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

extension ManagedQueue: Hashable {
    /// Whether both are handles of the same one.
    public static func == (a: ManagedQueue, b: ManagedQueue) -> Bool { a.handle == b.handle }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(handle)
    }
}

extension ManagedQueue: CustomStringConvertible {
    /// The type and the number of the value; it is elsewhere.
    public var description: String { "ManagedQueue\(handle)" }
}
