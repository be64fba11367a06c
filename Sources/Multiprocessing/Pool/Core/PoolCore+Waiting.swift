// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension PoolCore {
    /// Blocks until `isReady`, asked under the lock, or the deadline; returns whether it was ready.
    ///
    /// - Parameters:
    ///   - job: Whose answers or end can make it so.
    ///   - orRoom: Whether room in the queue can make it so.
    ///   - comesBack: Whether the caller is likely to wait again soon: the pool's thread then takes its place only if it does not.
    func wait(
        for job: PoolJob?,
        orRoom: Bool = false,
        until deadline: Deadline,
        comesBack: Bool = false,
        _ isReady: () -> Bool
    ) -> Bool {
        while true {
            switch withLock({ step(job, orRoom: orRoom, deadline, isReady) }) {
            case .ready(let isReady, let needsSuccessor):
                guard needsSuccessor else { return isReady }
                if comesBack {
                    // Something new, as the thread sees it: it watches a while.
                    withLock { noteSubmission() }
                    thread.wakeSoon()
                } else {
                    thread.wake()
                }
                return isReady
            case .lead:
                session.wait(until: deadline)
                withLock {
                    isLed = false
                    advance()
                }
            case .run:
                session.runTask(for: .blocking)
                withLock { advance() }
            case .follow(let notice):
                _ = notice.wait(until: deadline)
                withLock {
                    followers.removeAll { $0 === notice }
                    roomWaiters.removeAll { $0 === notice }
                    job?.waiters.removeAll { $0 === notice }
                }
            }
        }
    }

    private enum Step {
        case ready(Bool, wakesThread: Bool)
        case lead
        /// Carry out a task, and look again.
        case run
        case follow(Notice)
    }

    private func step(_ job: PoolJob?, orRoom: Bool, _ deadline: Deadline, _ isReady: () -> Bool) -> Step {
        let isOver = isReady()
        if isOver || deadline.hasPassed { return .ready(isOver, wakesThread: passOn()) }
        if capabilities.runsOnCallers {
            if session.hasTask(for: .blocking) { return .run }
        } else if !isLed {
            isLed = true
            return .lead
        }
        let notice = Notice()
        followers.append(notice)
        job?.waiters.append(notice)
        if orRoom { roomWaiters.append(notice) }
        return .follow(notice)
    }

    /// Sees to it that somebody leads if there is something to wait for. Returns whether that is the pool's thread, to be woken.
    private func passOn() -> Bool {
        guard !isLed else { return false }
        if let follower = followers.popLast() {
            notices.append(follower)
            return false
        }
        return machine.isBusy
    }

    /// Suspends until `isReady`, asked under the lock, or the deadline; returns whether it was ready.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled; `SystemError` when this process cannot wait.
    func wait(for job: PoolJob, until deadline: Deadline, _ isReady: () -> Bool) async throws -> Bool {
        try checkProcess()
        let reactor = try Runtime.shared().reactor
        while true {
            let notice: Notice? = withLock {
                if isReady() { return nil }
                let notice = Notice()
                job.waiters.append(notice)
                return notice
            }
            guard let notice else { return true }
            leaveToThread()
            defer { withLock { job.waiters.removeAll { $0 === notice } } }
            guard try await notice.wait(until: deadline, on: reactor) else { return withLock(isReady) }
        }
    }
}
