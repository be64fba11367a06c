// SPDX-License-Identifier: Apache-2.0
//
// The pool's queue has limits, in tasks and in bytes of arguments. Who submits where it is full waits until workers have taken something; a thread leads meanwhile, a task is suspended. As many of them are called as there is room
// for, in the order they came; each keeps its place until it has submitted, or gives up, and lets the next one know then.

internal import MultiprocessingPrimitives

extension PoolCore {
    /// Adds a job, and starts with the pieces it has. Blocks while the queue is full.
    ///
    /// - Throws: `PoolError` when calls are not accepted (any more).
    func submit(_ job: PoolJob, isComplete: Bool) throws {
        guard try !trySubmit(job, isComplete: isComplete) else { return }
        var place: RoomPlace?
        defer { leaveRoom(place, isTask: false) }
        repeat {
            waitForRoom(for: nil, job.waitingBytes, at: &place)
        } while try !trySubmit(job, isComplete: isComplete)
    }

    /// Adds a job, and starts with the pieces it has. Suspends while the queue is full.
    ///
    /// - Throws: `PoolError` when calls are not accepted (any more); `CancellationError`.
    func submit(_ job: PoolJob, isComplete: Bool) async throws {
        if try !trySubmit(job, isComplete: isComplete) { try await submitInTurn(job, isComplete: isComplete) }
    }

    /// Adds a job as soon as it is its turn.
    ///
    /// Not on the caller's actor, which may be busy for long: others would not be called as long as one who was does not come.
    @concurrent
    private func submitInTurn(_ job: PoolJob, isComplete: Bool) async throws {
        var place: RoomPlace?
        defer { leaveRoom(place, isTask: true) }
        repeat {
            try await waitForRoom(for: nil, job.waitingBytes, at: &place)
        } while try !trySubmit(job, isComplete: isComplete)
    }

    /// Adds a job that gets its pieces later, as results are asked for: these wait for room, it does not.
    ///
    /// - Throws: `PoolError` when calls are not accepted (any more).
    func begin(_ job: PoolJob) throws {
        _ = try trySubmit(job, isComplete: false, needsRoom: false)
    }

    /// Adds a job, and starts with the pieces it has, unless the queue is full. Returns whether it was added.
    func trySubmit(_ job: PoolJob, isComplete: Bool, needsRoom: Bool = true) throws -> Bool {
        try checkProcess()
        try capabilities.check(job.function.descriptors)
        try capabilities.check(job.input.descriptors)
        return try withLock {
            takeInNews()
            // After the news, which may be that there will be no workers any more.
            try checkRunning()
            guard hasRoom || !needsRoom else { return false }
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

    /// The place of one who waits for room.
    typealias RoomPlace = RoomQueue<Notice>.Place

    /// The size of what is added to a job that was submitted before, as far as can be known: a block.
    private static var blockSize: Int { 1 << 20 }

    /// Whether the queue takes more; under the lock.
    var hasRoom: Bool { machine.waiting < limits.tasks && waitingBytes < limits.bytes }

    /// Whether there is no point in waiting for room; under the lock.
    private var isOver: Bool { phase == .terminated || breakdown != nil }

    /// Whether nobody has to wait for room: there is some, or there is no point in waiting.
    private func isRoomOrOver(_ job: PoolJob?) -> Bool { hasRoom || isOver || job?.isEnded == true }

    /// Blocks while the queue is full.
    ///
    /// - Parameter job: What is being submitted, whose end ends the wait as well.
    /// - Returns: The place of the one who has waited, to be left when he has used the room.
    func waitForRoom(for job: PoolJob) -> RoomPlace? {
        if withLock({ isRoomOrOver(job) }) { return nil }
        var place: RoomPlace?
        waitForRoom(for: job, Self.blockSize, at: &place)
        return place
    }

    /// Blocks while the queue is full, and keeps its place. To be told that there is room is not to have it.
    private func waitForRoom(for job: PoolJob?, _ bytes: Int, at place: inout RoomPlace?) {
        _ = wait(for: job, room: bytes, at: &place, until: .never) { isRoomOrOver(job) }
    }

    /// Suspends while the queue is full.
    ///
    /// - Parameter job: What is being submitted, whose end ends the wait as well.
    /// - Returns: The place of the one who has waited, to be left when he has used the room.
    /// - Throws: `CancellationError`; `SystemError` when this process cannot wait.
    func waitForRoom(for job: PoolJob) async throws -> RoomPlace? {
        if withLock({ isRoomOrOver(job) }) { return nil }
        return try await waitInTurn(for: job)
    }

    /// Suspends until it is its turn. Not on the caller's actor, as in `submitInTurn`.
    @concurrent
    private func waitInTurn(for job: PoolJob) async throws -> RoomPlace? {
        var place: RoomPlace?
        do {
            try await waitForRoom(for: job, Self.blockSize, at: &place)
        } catch {
            leaveRoom(place, isTask: true)
            throw error
        }
        return place
    }

    /// Suspends while the queue is full, and keeps its place. To be told that there is room is not to have it.
    private func waitForRoom(for job: PoolJob?, _ bytes: Int, at place: inout RoomPlace?) async throws {
        while true {
            let notice: Notice? = withLock {
                if isRoomOrOver(job) { return nil }
                let notice = Notice()
                roomWaiters.tasks.wait(notice, bytes: bytes, at: &place)
                job?.waiters.append(notice)
                return notice
            }
            guard let notice else { return }
            leaveToThread()
            defer { if let job { withLock { job.waiters.removeAll { $0 === notice } } } }
            _ = try await notice.wait(until: .never, on: Runtime.shared().reactor)
        }
    }

    /// Gives up the place of one who has waited for room, if he had to.
    func leaveRoom(_ place: RoomPlace?, isTask: Bool) {
        guard let place else { return }
        withLock {
            if isTask { roomWaiters.tasks.leave(place) } else { roomWaiters.threads.leave(place) }
            // He may have been called, and has not taken the room, or not all of it.
            tellOfRoom()
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

    /// Calls those who wait for room and find it, or have no reason to wait any more; under the lock. To be called whenever there may be more room, or one of them has left.
    @inline(__always)
    func tellOfRoom() {
        if roomWaiters.threads.isWaiting || roomWaiters.tasks.isWaiting { callForRoom() }
    }

    /// Calls all of them once there is no point in waiting, and else as many as there is room for.
    @inline(never)
    private func callForRoom() {
        let all = isOver
        guard all || hasRoom else { return }
        let tasks = all ? Int.max : limits.tasks - machine.waiting
        let bytes = all ? Int.max : limits.bytes - waitingBytes
        notices += roomWaiters.threads.call(tasks: tasks, bytes: bytes)
        notices += roomWaiters.tasks.call(tasks: tasks, bytes: bytes)
    }
}
