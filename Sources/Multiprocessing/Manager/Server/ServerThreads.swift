// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The threads of a manager's server, on which it reads requests and calls functions that may block: as many as are busy at the same time, and those that were shortly before. Asynchronous functions are
/// called on them as well: one that never suspends would keep a thread of the pool that all tasks share, which has as many as there are processors.
final class ServerThreads: TaskExecutor {
    typealias Job = @Sendable () -> Void

    /// How long an idle thread stays, in nanoseconds.
    private static let idleTime: Int64 = 2_000_000_000
    /// The stack of a thread that runs the program's functions. Only what is touched takes memory.
    private static let stackSize = 8 << 20

    private struct State {
        var jobs: [Job] = []
        var idle = 0
        /// Jobs that found no thread, because of a limit.
        var orphans: [Job] = []
    }

    private let state = Mutex(State())

    /// Changes with every new job, so that no idle thread sleeps through one. Never freed, as the server's threads are never joined.
    private let news: SharedWord

    init() {
        news = SharedWord(.allocate(capacity: 1))
        news.initialize(0)
    }

    /// Runs `job` on a thread that may block, soon.
    func submit(_ job: @escaping Job) {
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
            return
        }
        do {
            try Thread.start(name: "mp-manager", stackSize: Self.stackSize, catchesFaults: true) { [self] in
                serve(first: job)
            }
        } catch {
            // A limit on threads: the job waits for a thread that becomes free, or tries again.
            state.withLock { $0.orphans.append(job) }
            retry()
        }
    }

    /// Runs a part of a task.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        submit { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Looks after jobs that found no thread.
    private func retry() {
        // Without a reactor, a thread that becomes free finds them.
        guard let reactor = try? Runtime.shared().reactor else { return }
        _ = reactor.waitUntil(Deadline(timeout: .milliseconds(10))) { [self] _ in
            if let job = state.withLock({ $0.orphans.popLast() }) { submit(job) }
        }
    }

    private func serve(first: Job) {
        first()
        while let job = nextJob() { job() }
    }

    private func nextJob() -> Job? {
        let orphan = state.withLock { state -> Job? in
            if let orphan = state.orphans.popLast() { return orphan }
            state.idle += 1
            return nil
        }
        if let orphan { return orphan }
        let deadline = Deadline(nanoseconds: mp_now() + Self.idleTime)
        while true {
            let seen = news.load()
            if let job = state.withLock({ $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) { return job }
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
}
