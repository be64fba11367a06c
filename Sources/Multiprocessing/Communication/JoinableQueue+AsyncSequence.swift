// SPDX-License-Identifier: Apache-2.0

extension JoinableQueue: AsyncSequence {
    /// Takes elements until the queue is shut down and empty.
    ///
    /// Whoever takes an element still says by ``taskDone()`` when it is done with it. Several iterations, in whatever processes, share the elements among them: each element goes to one.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let queue: JoinableQueue

        /// Takes the next element; nil once the queue is shut down and empty. The task is suspended until one of both.
        ///
        /// - Throws: As `JoinableQueue.get(timeout:)`; `CancellationError` when the task is cancelled.
        public mutating func next() async throws -> Element? {
            do {
                return try await queue.get()
            } catch let error as QueueError where error.code == .shutDown {
                return nil
            }
        }
    }

    /// Begins to take elements.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(queue: self)
    }
}
