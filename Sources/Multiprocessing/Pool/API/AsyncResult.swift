// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The outcome of a call that a pool makes, once it is there.
///
/// Dropping it does not cancel the call. Any number of threads and tasks may wait for it, and ask again.
public final class AsyncResult<R: Sendable>: Sendable {
    /// Unowned without a check is safe because `owner`, which has it as long as it lives, is kept: each call would count its references otherwise.
    unowned(unsafe) let core: PoolCore
    let job: PoolJob
    private let reading: Reading

    /// How the result is made of what came back.
    private enum Reading {
        /// For a single call: the type, which is `R`. As a value it needs no memory of its own, as a function that knows it would.
        case value(any (Decodable & Sendable).Type)
        /// For a single call of a procedure: `R` is `Void`.
        case nothing
        /// For anything else.
        case job(@Sendable (PoolJob) throws -> R)

        func callAsFunction(_ job: PoolJob) throws -> R {
            switch self {
            case .value(let type): return try read(type, job)
            case .nothing:
                try job.readCall { _, _ in }
                return Self.asResult(())
            case .job(let decode): return try decode(job)
            }
        }

        private func read<D: Decodable & Sendable>(_ type: D.Type, _ job: PoolJob) throws -> R {
            Self.asResult(
                try job.readCall { reader, userInfo in
                    try WireCoding.decode(type, from: &reader, userInfo: userInfo)
                }
            )
        }

        /// A value of the type that `R` is, as `R`.
        private static func asResult<D>(_ value: D) -> R {
            precondition(D.self == R.self, "a result is read as what it is")
            // Safe: they are the same type.
            return unsafeBitCast(value, to: R.self)
        }
    }

    /// What must not end before this is dropped. A pool's last use may be the call whose result is waited for.
    private let owner: any AnyObject & Sendable

    /// A result that `decode` makes of a job.
    ///
    /// - Parameter owner: The pool, which has `core`.
    init(
        _ core: PoolCore,
        _ job: PoolJob,
        keeping owner: any AnyObject & Sendable,
        _ decode: @escaping @Sendable (PoolJob) throws -> R
    ) {
        self.owner = owner
        self.core = core
        self.job = job
        reading = .job(decode)
    }

    /// The result of a single call.
    ///
    /// - Parameters:
    ///   - owner: The pool, which has `core`.
    ///   - type: `R`, or nil where that is `Void`.
    init(
        _ core: PoolCore,
        _ job: PoolJob,
        keeping owner: any AnyObject & Sendable,
        call type: (any (Decodable & Sendable).Type)?
    ) {
        self.owner = owner
        self.core = core
        self.job = job
        reading = type.map { .value($0) } ?? .nothing
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
