// SPDX-License-Identifier: Apache-2.0

/// Takes the elements of a ``Queue``, ``JoinableQueue``, ``SimpleQueue`` or ``ManagedQueue`` until it is shut down and empty.
///
/// Several iterations, in whatever processes, share the elements among them: each element goes to one. Whoever takes an element of a joinable queue still says by `taskDone()` when it is done with it.
public struct QueueIterator<Element>: AsyncIteratorProtocol {
    private let get: () async throws -> Element

    init(_ get: @escaping () async throws -> Element) {
        self.get = get
    }

    /// Takes the next element; nil once the queue is shut down and empty. The task is suspended until one of both.
    ///
    /// - Throws: As `get(timeout:)` of the queue; `CancellationError` when the task is cancelled.
    public mutating func next() async throws -> Element? {
        do {
            return try await get()
        } catch let error as QueueError where error.code == .shutDown {
            return nil
        }
    }
}

extension Queue: AsyncSequence {
    /// Begins to take elements.
    public func makeAsyncIterator() -> QueueIterator<Element> {
        QueueIterator { try await self.get() }
    }
}

extension JoinableQueue: AsyncSequence {
    /// Begins to take elements.
    public func makeAsyncIterator() -> QueueIterator<Element> {
        QueueIterator { try await self.get() }
    }
}

extension SimpleQueue: AsyncSequence {
    /// Begins to take elements.
    public func makeAsyncIterator() -> QueueIterator<Element> {
        QueueIterator { try await self.get() }
    }
}

extension ManagedQueue: AsyncSequence {
    /// Begins to take elements.
    public func makeAsyncIterator() -> QueueIterator<Element> {
        QueueIterator { try await self.get() }
    }
}
