// SPDX-License-Identifier: Apache-2.0
//
// Blocking waits for tasks.
//
// A task must not block the thread it runs on: there are as many as processors, for the whole program. A wait on a futex blocks; so it is made by a thread of this facility,
// and the task is suspended until it ends. Threads are started when there is a wait and none is idle, and end after a while without one. Each wait that really
// has to wait costs a thread for as long as it lasts, some 20 kilobytes.

internal import CMultiprocessing
internal import Synchronization

/// The threads that wait in place of this process's tasks.
package final class BlockingWaiters: Sendable {
    /// How long an idle thread stays, in nanoseconds.
    private static let idleTime: Int64 = 2_000_000_000

    private static let current = ForkLocal { BlockingWaiters() }

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var idle = 0
    }

    private let state = PlainMutex(State())

    /// Changes with every new job, so that no idle thread sleeps through one. Never freed.
    private let news: SharedWord

    private init() {
        news = SharedWord(.allocate(capacity: 1))
        news.initialize(0)
    }

    /// Runs `wait` on a thread that may block, and returns what it returns; the calling task is suspended until then.
    ///
    /// `wait` gets a cancellation that is asked for when the task is cancelled, and has to end soon then.
    ///
    /// - Throws: What `wait` throws; `SystemError` when there is no idle thread and the system gives no further one.
    package static func run<Result: Sendable>(
        _ wait: @escaping @Sendable (WaitCancellation) throws -> Result
    ) async throws -> Result {
        let cancellation = WaitCancellation()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
                let job = { @Sendable in
                    continuation.resume(with: Swift.Result { try wait(cancellation) })
                }
                do {
                    try current.value.submit(job)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
    }

    /// Hands `job` to an idle thread, or to a new one.
    private func submit(_ job: @escaping @Sendable () -> Void) throws(SystemError) {
        let hasIdle = state.withLock { state in
            guard state.idle > 0 else { return false }
            // Counted off here, so that the next job does not rely on the same thread.
            state.idle -= 1
            state.jobs.append(job)
            return true
        }
        if hasIdle {
            news.add(1)
            news.wake(1)
        } else {
            try Thread.start(name: "mp-waiter") { [self] in serve(first: job) }
        }
    }

    /// Runs jobs until there has been none for the idle time.
    private func serve(first: @Sendable () -> Void) {
        first()
        while let job = nextJob() { job() }
    }

    private func nextJob() -> (@Sendable () -> Void)? {
        state.withLock { $0.idle += 1 }
        let deadline = Deadline(nanoseconds: mp_now() + Self.idleTime)
        while true {
            let seen = news.load()
            if let job = state.withLock({ $0.jobs.popLast() }) { return job }
            guard deadline.hasPassed else {
                _ = news.wait(while: seen, until: deadline)
                continue
            }
            // Going, unless a job was handed over at this moment.
            let mayGo = state.withLock { state in
                guard state.idle > 0 else { return false }
                state.idle -= 1
                return true
            }
            if mayGo { return nil }
        }
    }

    /// Whether a thread waits for something to do, for tests.
    package static var hasIdleThread: Bool {
        current.value.state.withLock { $0.idle > 0 }
    }
}
