// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The results of `imap` and `imapUnordered`, as they come.
///
/// ```swift
/// for try await page in pool.imap(addresses, fetch) { print(page) }
/// let pages = pool.imap(addresses, fetch)
/// while let page = try pages.next(timeout: .seconds(10)) { print(page) }  // in synchronous code
/// ```
///
/// A `Sequence` is read on the thread or task that asks for results, in portions; an `AsyncSequence`, which may take its time, in a task of its own. No more items are read ahead than keep the workers busy, and never more than
/// the `bufferSize` of the call. What cannot be begun at all, such as a function that cannot be carried, throws when the first result is asked for.
///
/// An item that fails makes the call that would have returned its result throw; the results of the others can still be asked for. A `for` loop ends at the first error; ``results`` goes on.
///
/// When it is dropped, nothing more is begun, and what is under way is finished for nothing. Several threads and tasks may take results; each result goes to one of them.
public final class PoolResults<R: Sendable>: Sendable {
    /// What is there once the job could be prepared. An object, because each result is asked of it.
    final class Stream: Sendable {
        let core: PoolCore
        let job: PoolJob
        let state: StreamState
        /// What keeps the pool.
        let owner: any AnyObject & Sendable
        /// Reads up to so many items, where the consumer reads.
        let feed: @Sendable (Int) -> Void
        /// Reads the items, where a task does.
        let reader: Task<Void, Never>?
        let decode: @Sendable (TakenAnswers, Int) throws -> R

        init(
            _ core: PoolCore,
            _ job: PoolJob,
            _ state: StreamState,
            owner: any AnyObject & Sendable,
            feed: @escaping @Sendable (Int) -> Void,
            reader: Task<Void, Never>?,
            decode: @escaping @Sendable (TakenAnswers, Int) throws -> R
        ) {
            self.core = core
            self.job = job
            self.state = state
            self.owner = owner
            self.feed = feed
            self.reader = reader
            self.decode = decode
        }
    }

    private let stream: Result<Stream, any Error>
    /// Results that were taken out of the stream together, and go to consumers one by one. Its lock is never taken together with the pool's.
    private let taken = Mutex(StreamStock())
    /// Whether the error that kept it from beginning was thrown.
    private let hasThrown = Mutex(false)

    init(_ prepare: () throws -> Stream) {
        stream = Result { try prepare() }
    }

    deinit {
        guard case .success(let stream) = stream else { return }
        stream.reader?.cancel()
        guard (try? stream.core.checkProcess()) != nil else { return }
        Self.giveUp(stream, kill: false)
    }

    private static func giveUp(_ stream: Stream, kill: Bool) {
        let room: Notice? = stream.core.withLock {
            defer { stream.state.room = nil }
            stream.job.fail(CancellationError())
            stream.core.give(up: stream.job, kill: kill)
            return stream.state.room
        }
        room?.post()
        stream.job.meter?.finish()
    }

    // MARK: - Taking results

    /// Blocks until a result is there, and returns it; nil when there are no more.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Throws: what the function threw for this item, as its own type where that is `Codable`, else as `RemoteError`; ``WorkerLost``; what encoding the item or decoding its result throws; `TimeoutError` when the time is
    ///   over, after which it can be asked again; what began the end: `FunctionNotPortable`, ``PoolError``, or what the input threw.
    @available(*, noasync)
    public func next(timeout: Duration? = nil) throws -> R? {
        guard let stream = try begun() else { return nil }
        if let ready = inStock() { return try result(ready, stream) }
        let deadline = Deadline(timeout: timeout)
        while true {
            switch advance(stream) {
            case .deliver(let ready): return try result(stock(ready), stream)
            case .feed(let most): feed(most, stream)
            case .end(let error): return try ended(error, stream)
            case .wait:
                let isThere = stream.core.wait(for: stream.job, until: deadline, comesBack: true) {
                    stream.state.hasNews(stream.job)
                }
                if !isThere {
                    throw TimeoutError(operation: "waiting for a pool's next result", timeout: timeout ?? .zero)
                }
            }
        }
    }

    /// Suspends until a result is there, and returns it; nil when there are no more. Cancelling the task ends the calls that are under way.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Throws: as the form that blocks, and `CancellationError`.
    public func next(timeout: Duration? = nil) async throws -> R? {
        guard let stream = try begun() else { return nil }
        let deadline = Deadline(timeout: timeout)
        do {
            while true {
                try Task.checkCancellation()
                if let ready = inStock() { return try result(ready, stream) }
                switch advance(stream) {
                case .deliver(let ready): return try result(stock(ready), stream)
                case .feed(let most): feed(most, stream)
                case .end(let error): return try ended(error, stream)
                case .wait:
                    let isThere = try await stream.core.wait(for: stream.job, until: deadline) {
                        stream.state.hasNews(stream.job)
                    }
                    if !isThere {
                        throw TimeoutError(operation: "waiting for a pool's next result", timeout: timeout ?? .zero)
                    }
                }
            }
        } catch let error as CancellationError {
            if Task.isCancelled { Self.giveUp(stream, kill: true) }
            throw error
        }
    }

    /// The stream, or what kept it from beginning, thrown once.
    private func begun() throws -> Stream? {
        switch stream {
        case .success(let stream):
            try stream.core.checkProcess()
            return stream
        case .failure(let error):
            let isFirst = hasThrown.withLock { hasThrown in
                defer { hasThrown = true }
                return !hasThrown
            }
            if isFirst { throw error }
            return nil
        }
    }

    /// The next result that was taken before, if there is one.
    private func inStock() -> StreamState.Ready? {
        taken.withLock { stock in stock.next() }
    }

    /// Takes the first of some results, and keeps the others for the next calls, of this consumer or another.
    private func stock(_ ready: [StreamState.Ready]) -> StreamState.Ready {
        taken.withLock { stock in stock.add(ready) }
    }

    private func advance(_ stream: Stream) -> StreamState.Step {
        let delivered = taken.withLock { stock in
            defer { stock.untold = 0 }
            return stock.untold
        }
        let (step, room) = stream.core.withLock {
            // Somebody who takes one result after the other collects them as well, and needs no second thread for that.
            stream.core.noteSubmission()
            stream.state.ahead.consume(delivered)
            let step = stream.state.step(stream.job, parallelism: stream.core.session.parallelism)
            return (step, stream.state.takeRoomNotice(parallelism: stream.core.session.parallelism))
        }
        room?.post()
        return step
    }

    private func feed(_ most: Int, _ stream: Stream) {
        stream.feed(most)
        stream.core.withLock { stream.state.isFeeding = false }
        // The consumer may not come back soon.
        stream.core.leaveToThreadSoon()
    }

    private func result(_ ready: StreamState.Ready, _ stream: Stream) throws -> R {
        switch ready {
        case .trouble(let error): throw error
        case .answer(let taken, let index): return try stream.decode(taken, index)
        }
    }

    private func ended(_ error: (any Error)?, _ stream: Stream) throws -> R? {
        stream.job.meter?.finish()
        if let error { throw error }
        return nil
    }
}

/// Results that were taken together.
private struct StreamStock: Sendable {
    private var results: [StreamState.Ready] = []
    /// How many of them were delivered.
    private var delivered = 0
    /// Delivered ones that the stream was not told of yet.
    var untold = 0

    /// The next one, if there is one.
    mutating func next() -> StreamState.Ready? {
        guard delivered < results.count else { return nil }
        delivered += 1
        untold += 1
        return results[delivered - 1]
    }

    /// Adds some, and takes the first of all.
    mutating func add(_ ready: [StreamState.Ready]) -> StreamState.Ready {
        // Another consumer may have taken some, which come first.
        let rest = results[delivered...]
        results = rest.isEmpty ? ready : rest + ready
        delivered = 1
        return results[0]
    }
}

extension PoolResults: AsyncSequence {
    /// Takes one result after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let results: PoolResults

        /// Suspends until a result is there, and returns it; nil when there are no more. Throws as `PoolResults.next(timeout:)`.
        public mutating func next() async throws -> R? {
            try await results.next()
        }
    }

    /// Begins to take results.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(results: self)
    }
}
