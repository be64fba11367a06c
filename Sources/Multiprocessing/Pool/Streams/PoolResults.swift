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
/// A `Sequence` is read on the thread or task that asks for results, in portions: one whose next item waits for what becomes of earlier results would wait for ever. An `AsyncSequence`, which may take its time, is read in a task of its own. No more items are read ahead than keep the workers busy, and never more than
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
    /// Results that were taken out of the stream together, and go to consumers one by one. Where its lock is taken together with the pool's, the pool's comes first.
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
            case .deliver(let ready): return try result(ready, stream)
            case .feed(let most): feed(most, stream)
            case .end(let error): return try ended(error, stream)
            case .wait:
                let isThere = stream.core.wait(for: stream.job, until: deadline, comesBack: true) {
                    stream.state.hasNews(stream.job)
                }
                stream.core.withLock { stream.state.consumersWaiting -= 1 }
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
                case .deliver(let ready): return try result(ready, stream)
                case .feed(let most): feed(most, stream)
                case .end(let error): return try ended(error, stream)
                case .wait:
                    defer { stream.core.withLock { stream.state.consumersWaiting -= 1 } }
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

    /// What the consumer does next.
    private enum Step {
        case deliver(StreamState.Ready)
        case feed(Int)
        /// Wait for news; the consumer is counted among those that wait.
        case wait
        case end((any Error)?)
    }

    private func advance(_ stream: Stream) -> Step {
        let (step, room) = stream.core.withLock {
            // Somebody who takes one result after the other collects them as well, and needs no second thread for that.
            stream.core.noteSubmission()
            let step = self.step(stream)
            let leftovers = stream.state.takeLeftovers()
            if !leftovers.isEmpty { stream.core.release(leftovers) }
            return (step, stream.state.takeRoomNotice(parallelism: stream.core.session.parallelism))
        }
        room?.post()
        return step
    }

    /// What the consumer does next; under the pool's lock. Nothing stays in the stock that a consumer who waits would not hear of: it is filled only while nobody waits, and looked at before one does.
    private func step(_ stream: Stream) -> Step {
        let (delivered, ready) = taken.withLock { stock in
            let ready = stock.next()
            // That one is told of here, too.
            defer { stock.untold = 0 }
            return (stock.untold, ready)
        }
        stream.state.ahead.consume(delivered)
        if let ready { return .deliver(ready) }
        switch stream.state.step(stream.job, parallelism: stream.core.session.parallelism) {
        case .deliver(let ready):
            tellOthers(stream)
            let (first, delivered) = taken.withLock { stock in stock.add(ready) }
            if stream.job.isDirect { stream.core.release(delivered) }
            return .deliver(first)
        case .feed(let most): return .feed(most)
        case .end(let error): return .end(error)
        case .wait:
            stream.state.consumersWaiting += 1
            return .wait
        }
    }

    /// Has other consumers look again if something is left for them, for this one may not come back; under the pool's lock.
    private func tellOthers(_ stream: Stream) {
        guard stream.state.consumersWaiting > 0, stream.state.hasNews(stream.job) else { return }
        stream.core.tell(stream.job)
    }

    private func feed(_ most: Int, _ stream: Stream) {
        stream.feed(most)
        stream.core.withLock {
            stream.state.isFeeding = false
            tellOthers(stream)
        }
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

    /// Puts others where all were delivered, and takes the first of them. Returns those that were delivered as well, for the one who will let go of them.
    mutating func add(_ ready: [StreamState.Ready]) -> (first: StreamState.Ready, delivered: [StreamState.Ready]) {
        let before = results
        results = ready
        delivered = 1
        return (ready[0], before)
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
