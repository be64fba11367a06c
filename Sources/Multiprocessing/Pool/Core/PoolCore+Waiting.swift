// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension PoolCore {
    /// Blocks until `isReady`, asked under the lock, or the deadline; returns whether it was ready.
    ///
    /// - Parameters:
    ///   - job: Whose answers or end can make it so.
    ///   - comesBack: Whether the caller is likely to wait again soon: the pool's thread then takes its place only if it does not.
    func wait(for job: PoolJob?, until deadline: Deadline, comesBack: Bool = false, _ isReady: () -> Bool) -> Bool {
        var place: RoomPlace?
        return wait(for: job, room: nil, at: &place, until: deadline, comesBack: comesBack, isReady)
    }

    /// Does the same where room in the queue can make it ready as well.
    ///
    /// - Parameters:
    ///   - bytes: How much room is wanted; nil: none.
    ///   - place: The caller's place among those who wait for room, which he has to give up when he has it.
    func wait(
        for job: PoolJob?,
        room bytes: Int?,
        at place: inout RoomPlace?,
        until deadline: Deadline,
        comesBack: Bool = false,
        _ isReady: () -> Bool
    ) -> Bool {
        while true {
            switch withLock({ step(job, room: bytes, at: &place, deadline, isReady) }) {
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

    private func step(
        _ job: PoolJob?,
        room bytes: Int?,
        at place: inout RoomPlace?,
        _ deadline: Deadline,
        _ isReady: () -> Bool
    ) -> Step {
        let isOver = isReady()
        if isOver || deadline.hasPassed { return .ready(isOver, wakesThread: passOn()) }
        if capabilities.runsOnCallers {
            if session.hasTask(for: .blocking) {
                stopFollowing(&place)
                return .run
            }
        } else if !isLed {
            isLed = true
            stopFollowing(&place)
            return .lead
        }
        let notice = Notice()
        followers.append(notice)
        job?.waiters.append(notice)
        if let bytes { roomWaiters.threads.wait(notice, bytes: bytes, at: &place) }
        return .follow(notice)
    }

    /// Gives up a place among those who wait for room: who does something else meanwhile would not hear that he is called, and looks for himself.
    private func stopFollowing(_ place: inout RoomPlace?) {
        guard let left = place else { return }
        roomWaiters.threads.leave(left)
        place = nil
        tellOfRoom()
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
