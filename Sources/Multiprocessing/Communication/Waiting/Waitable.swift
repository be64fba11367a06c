// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// Something that `Connection.wait(for:timeout:)` waits for: connections, listeners, queues, processes, and descriptors such as a ``ChildProcess/sentinel``.
///
/// A type of another package that has a descriptor can be one as well:
///
/// ```swift
/// extension Timer: Waitable {
///     public var waitSource: WaitSource { .descriptor(timerDescriptor) }
/// }
/// ```
public protocol Waitable: Sendable {
    /// What is waited for.
    var waitSource: WaitSource { get throws }
}

/// What a ``Waitable`` waits for.
public struct WaitSource: Sendable {
    let target: any WaitTarget

    init(_ target: any WaitTarget) {
        self.target = target
    }

    /// Until a descriptor is readable or at its end, as poll(2) tells. The caller keeps it open during the wait.
    public static func descriptor(_ number: Int32) -> WaitSource {
        WaitSource(DescriptorTarget(number))
    }
}

/// What can be waited for together with others.
protocol WaitTarget: Sendable {
    /// Throws when it cannot be waited for.
    func checkWaitable() throws
    /// Whether it is ready now; takes no lock of other processes and nothing else.
    var isReady: Bool { get }
    /// Adds a notice that is posted when it may have become ready.
    func add(_ notice: Notice) throws
    /// Takes a notice back.
    func remove(_ notice: Notice)
    /// Marks that somebody waits for the notice, and returns whether that may have been missed: then look again soon.
    func markWaiting() -> Bool
}

// MARK: - What can be waited for

extension Connection: Waitable {
    /// Ready when a message can be received, or the end of file.
    public var waitSource: WaitSource { WaitSource(link) }
}

extension Listener: Waitable {
    /// Ready when a connection can be accepted.
    public var waitSource: WaitSource { WaitSource(acceptor) }
}

extension ChildProcess: Waitable {
    /// Ready when it has ended.
    public var waitSource: WaitSource {
        get throws { WaitSource(try sentinelTarget()) }
    }
}

extension Int32: Waitable {
    /// Ready when the descriptor with this number is readable or at its end.
    public var waitSource: WaitSource { .descriptor(self) }
}

extension Queue: Waitable {
    /// Ready when there is an element, or the queue was shut down.
    public var waitSource: WaitSource { WaitSource(core) }
}

extension JoinableQueue: Waitable {
    /// Ready when there is an element, or the queue was shut down.
    public var waitSource: WaitSource { WaitSource(core) }
}

extension SimpleQueue: Waitable {
    /// Ready when there is an element.
    public var waitSource: WaitSource { WaitSource(core) }
}

extension Acceptor: WaitTarget {
    func checkWaitable() throws {
        guard !isOpen else { return }
        throw ConnectionError(.closed, "this listener was closed, or belongs to another process")
    }

    func markWaiting() -> Bool { false }
}

extension QueueCore: WaitTarget {
    func checkWaitable() throws { try checkOpen() }

    var isReady: Bool {
        if isClosed || !ring.isEmpty || ring.hasEnded { return true }
        ring.helpToEndNow()
        return ring.hasEnded
    }

    func add(_ notice: Notice) throws { try tasks.add(notice) }

    func remove(_ notice: Notice) { tasks.remove(notice) }

    func markWaiting() -> Bool {
        ring.markWaitingForItems()
        return ring.producersAreBusy
    }
}
