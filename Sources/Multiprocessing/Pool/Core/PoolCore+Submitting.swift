// SPDX-License-Identifier: Apache-2.0
//
// The pool's queue has limits, in tasks and in bytes of arguments. Who submits where it is full waits until workers have taken something; a thread leads meanwhile, a task is suspended.

internal import MultiprocessingPrimitives

extension PoolCore {
    /// Adds a job, and starts with the pieces it has. Blocks while the queue is full.
    ///
    /// - Throws: `PoolError` when calls are not accepted (any more).
    func submit(_ job: PoolJob, isComplete: Bool) throws {
        while try !trySubmit(job, isComplete: isComplete) { waitForRoom(for: nil) }
    }

    /// Adds a job, and starts with the pieces it has. Suspends while the queue is full.
    ///
    /// - Throws: `PoolError` when calls are not accepted (any more); `CancellationError`.
    func submit(_ job: PoolJob, isComplete: Bool) async throws {
        while try !trySubmit(job, isComplete: isComplete) { try await waitForRoom(for: nil) }
    }

    /// Adds a job, and starts with the pieces it has, unless the queue is full. Returns whether it was added.
    func trySubmit(_ job: PoolJob, isComplete: Bool) throws -> Bool {
        try checkProcess()
        try capabilities.check(job.function.descriptors)
        try capabilities.check(job.input.descriptors)
        return try withLock {
            takeInNews()
            // After the news, which may be that there will be no workers any more.
            try checkRunning()
            guard hasRoom else { return false }
            noteSubmission()
            add(job)
            waitingBytes += job.waitingBytes
            addPieces(of: job, job.input.count, isLast: isComplete)
            startThreadIfNeeded()
            return true
        }
    }

    /// Lends memory for arguments of `size` bytes that are about to be encoded; nil where that is of no use.
    func lend(_ size: Int) -> (any LentMemory)? {
        // In a copy of the process somebody may have had the lock for ever.
        guard (try? checkProcess()) != nil else { return nil }
        return withLock { phase == .running ? session.lend(size) : nil }
    }

    /// Gives up a job that cannot be submitted to its end. When that is because the caller was cancelled, what has begun of it is ended as well.
    func abandon(_ job: PoolJob, _ error: any Error) {
        withLock {
            job.fail(error)
            give(up: job, kill: error is CancellationError)
        }
        job.meter?.finish()
    }

    // MARK: - Room

    /// Whether the queue takes more; under the lock.
    var hasRoom: Bool { machine.waiting < limits.tasks && waitingBytes < limits.bytes }

    /// Whether nobody has to wait for room: there is some, or there is no point in waiting.
    private func isRoomOrOver(_ job: PoolJob?) -> Bool {
        hasRoom || phase == .terminated || breakdown != nil || job?.isEnded == true
    }

    /// Blocks while the queue is full.
    ///
    /// - Parameter job: What is being submitted, whose end ends the wait as well.
    func waitForRoom(for job: PoolJob?) {
        if withLock({ isRoomOrOver(job) }) { return }
        _ = wait(for: job, orRoom: true, until: .never) { isRoomOrOver(job) }
    }

    /// Suspends while the queue is full.
    ///
    /// - Parameter job: What is being submitted, whose end ends the wait as well.
    /// - Throws: `CancellationError`; `SystemError` when this process cannot wait.
    func waitForRoom(for job: PoolJob?) async throws {
        while true {
            let notice: Notice? = withLock {
                if isRoomOrOver(job) { return nil }
                let notice = Notice()
                roomWaiters.append(notice)
                job?.waiters.append(notice)
                return notice
            }
            guard let notice else { return }
            leaveToThread()
            defer {
                withLock {
                    roomWaiters.removeAll { $0 === notice }
                    job?.waiters.removeAll { $0 === notice }
                }
            }
            _ = try await notice.wait(until: .never, on: Runtime.shared().reactor)
        }
    }

    /// Notes that pieces leave the queue; under the lock.
    func noteHandedOut(_ pieces: Range<Int>, of job: PoolJob) {
        guard job.waitingBytes > 0 else { return }
        // Pieces that came back and go out again were counted before.
        let bytes =
            pieces.count == job.input.count ? job.waitingBytes : min(job.input.size(of: pieces), job.waitingBytes)
        job.waitingBytes -= bytes
        waitingBytes -= bytes
    }

    /// Lets those look again who wait for room; under the lock.
    func tellOfRoom() {
        guard !roomWaiters.isEmpty, isRoomOrOver(nil) else { return }
        notices += roomWaiters
        roomWaiters = []
    }
}
