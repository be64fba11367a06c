// SPDX-License-Identifier: Apache-2.0

extension PoolResults {
    /// The outcomes one by one, where an item that fails is no end.
    ///
    /// ```swift
    /// for await outcome in pool.imap(files, parse).results {
    ///     switch outcome { … }
    /// }
    /// ```
    public var results: PoolOutcomes<R> { PoolOutcomes(results: self) }
}

/// The outcomes of `imap` and `imapUnordered`: a result or an error for each item. An error that concerns all of them, such as the pool's end, is the last one.
public struct PoolOutcomes<R: Sendable>: AsyncSequence, Sendable {
    let results: PoolResults<R>

    /// Takes one outcome after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let results: PoolResults<R>

        /// Suspends until an outcome is there; nil when there are no more, or when the task is cancelled.
        public mutating func next() async -> Result<R, any Error>? {
            do {
                return try await results.next().map { .success($0) }
            } catch {
                return Task.isCancelled ? nil : .failure(error)
            }
        }
    }

    /// Begins to take outcomes.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(results: results)
    }
}
