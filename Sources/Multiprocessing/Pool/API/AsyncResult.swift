// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The outcome of a call that a pool makes, once it is there.
///
/// Dropping it does not cancel the call. Any number of threads and tasks may wait for it, and ask again.
public final class AsyncResult<R: Sendable>: Sendable {
    let core: PoolCore
    let job: PoolJob
    private let reading: Reading

    /// How the result is made of what came back.
    private enum Reading {
        /// For a single call.
        case call(@Sendable (inout WireReader, [CodingUserInfoKey: Any]) throws -> R)
        /// For anything else.
        case job(@Sendable (PoolJob) throws -> R)

        func callAsFunction(_ job: PoolJob) throws -> R {
            switch self {
            case .call(let decode): try job.readCall(decode)
            case .job(let decode): try decode(job)
            }
        }
    }

    /// What must not end before this is dropped. A pool's last use may be the call whose result is waited for.
    private let owner: (any AnyObject & Sendable)?

    init(
        _ core: PoolCore,
        _ job: PoolJob,
        keeping owner: (any AnyObject & Sendable)? = nil,
        _ decode: @escaping @Sendable (PoolJob) throws -> R
    ) {
        self.owner = owner
        self.core = core
        self.job = job
        reading = .job(decode)
    }

    /// The result of a call that `decode` reads.
    init(
        _ core: PoolCore,
        _ job: PoolJob,
        keeping owner: any AnyObject & Sendable,
        call decode: @escaping @Sendable (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) {
        self.owner = owner
        self.core = core
        self.job = job
        reading = .call(decode)
    }

    /// Blocks until the outcome is there, and returns the result.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Throws: what the function threw, as its own type where that is `Codable`, else as `RemoteError`; `WorkerLost`; `TimeoutError` when the time is over (the call goes on), or when the call took longer than its
    ///   options allow; `CancellationError` when it was cancelled; `PoolError` when the pool was terminated.
    @available(*, noasync)
    public func get(timeout: Duration? = nil) throws -> R {
        guard try wait(timeout: timeout) else {
            throw TimeoutError(operation: "waiting for a pool's result", timeout: timeout ?? .zero)
        }
        return try outcome()
    }

    /// Suspends until the result is there, and returns it. Throws as the blocking form.
    ///
    /// Cancelling the task that waits cancels the call as well; the end of the time does not.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    public func get(timeout: Duration? = nil) async throws -> R {
        do {
            guard try await wait(timeout: timeout) else {
                throw TimeoutError(operation: "waiting for a pool's result", timeout: timeout ?? .zero)
            }
        } catch let error as CancellationError {
            cancel()
            job.meter?.finish()
            throw error
        }
        return try outcome()
    }

    /// The result, once it is there; without blocking a thread. Throws as `get(timeout:)`.
    ///
    /// Cancelling the task that waits cancels the call as well.
    ///
    /// Cancelling the task that waits cancels the call as well.
    public var value: R {
        get async throws {
            do {
                _ = try await core.wait(for: job, until: .never) { self.job.isEnded }
            } catch let error as CancellationError {
                cancel()
                job.meter?.finish()
                throw error
            }
            return try outcome()
        }
    }

    /// Blocks until the outcome is there, and returns whether it is.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    @available(*, noasync)
    public func wait(timeout: Duration? = nil) throws -> Bool {
        try core.checkProcess()
        return job.isEnded || core.wait(for: job, until: Deadline(timeout: timeout)) { job.isEnded }
    }

    /// Suspends until the outcome is there, and returns whether it is.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Throws: `CancellationError` as soon as the task is cancelled, which leaves the call as it is.
    public func wait(timeout: Duration? = nil) async throws -> Bool {
        try core.checkProcess()
        return try await core.wait(for: job, until: Deadline(timeout: timeout)) { self.job.isEnded }
    }

    /// Whether the outcome is there.
    public var isReady: Bool { job.isEnded }

    /// Whether the call returned a result.
    ///
    /// - Throws: `PoolError` (`notReady`) while there is no outcome.
    public var isSuccessful: Bool {
        get throws {
            guard job.isEnded else { throw PoolError(.notReady, "the call has no outcome yet") }
            return !job.hasFailed
        }
    }

    /// Cancels the call: what waits is not begun, and a worker that is at it is ended and replaced. Whoever waits gets `CancellationError`. Does nothing once there is an outcome.
    public func cancel() {
        guard (try? core.checkProcess()) != nil else { return }
        core.withLock {
            guard !job.isEnded else { return }
            job.fail(CancellationError())
            core.give(up: job, kill: true)
        }
        core.engineChanged()
    }

    private func outcome() throws -> R {
        job.meter?.finish()
        try job.check()
        return try reading(job)
    }

    /// Has the pool's thread call one of these when the outcome is there. Before the job is submitted.
    func call(_ callbacks: Callbacks<R>) {
        guard callbacks.onSuccess != nil || callbacks.onFailure != nil else { return }
        let reading = reading
        job.onEnd = { job in
            do {
                try job.check()
                let result = try reading(job)
                callbacks.onSuccess?(result)
            } catch {
                callbacks.onFailure?(error)
            }
        }
    }
}
