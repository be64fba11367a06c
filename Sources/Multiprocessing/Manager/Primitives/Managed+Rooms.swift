// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

extension Managed where Value: WaitingRoom {
    /// Asks for something, for which it may have to wait; the thread is blocked until it is answered.
    func ask(_ request: Value.Request, timeout: Duration? = nil) throws -> RoomAnswer<Value.Element> {
        // Who waits must keep the value.
        defer { withExtendedLifetime(self) {} }
        return try call(.operation(Value.self), Two(RoomTimeout.nanoseconds(timeout), request)) {
            try RoomAnswer(from: &$0, $1)
        }
    }

    /// Asks for something, for which it may have to wait; the task is suspended until it is answered.
    ///
    /// - Throws: `CancellationError` when the task is cancelled before anything was asked. One that waits is answered that it was cancelled, or what it has got at that moment.
    func ask(_ request: Value.Request, timeout: Duration? = nil) async throws -> RoomAnswer<Value.Element> {
        defer { withExtendedLifetime(self) {} }
        return try await call(
            .operation(Value.self),
            Two(RoomTimeout.nanoseconds(timeout), request),
            mayWait: true
        ) {
            try RoomAnswer(from: &$0, $1)
        }
    }

    /// Asks for something that does not wait, also for a task that was cancelled: one that has to give something back.
    func askUncancelled(_ request: Value.Request) async throws -> RoomAnswer<Value.Element> {
        try await Task.detached(priority: Task.currentPriority) { [self] in try await ask(request) }.value
    }
}

/// Timeouts on their way to a manager.
enum RoomTimeout {
    /// The nanoseconds of a timeout: -1 for none, 0 for not at all.
    static func nanoseconds(_ timeout: Duration?) -> Int64 {
        guard let timeout else { return -1 }
        let deadline = Deadline(timeout: timeout)
        return deadline.isNever ? .max : max(0, deadline.nanoseconds - mp_now())
    }
}

extension Manager {
    /// Makes a room in the manager; the thread is blocked until it is made.
    func makeRoom<Room: WaitingRoom>(_: Room.Type, _ plan: Room.Plan) throws -> Managed<Room> {
        try client.host(Room.self, .operation(Room.self), plan)
    }

    /// Makes a room in the manager; the task is suspended until it is made.
    func makeRoom<Room: WaitingRoom>(_: Room.Type, _ plan: Room.Plan) async throws -> Managed<Room> {
        try await client.host(Room.self, .operation(Room.self), plan)
    }
}

/// A lock in a manager, as one of its clients sees it.
struct RoomLock: Sendable {
    let handle: Managed<LockRoom>

    /// A thread, as an owner: even, where tasks are odd (`TaskToken`).
    private static var thread: UInt64 { UInt64(mp_this_thread().pointee.id) << 1 }

    private static func request(_ verb: LockRoom.Verb, _ token: UInt64, count: Int = 0) -> LockRoom.Request {
        LockRoom.Request(verb: verb, token: token, process: getpid(), count: count)
    }

    private static func acquisition(_ timeout: Duration?, recovers: Bool) -> LockRoom.Verb {
        if recovers { return .recover }
        return timeout == nil ? .acquire : .acquireInTime
    }

    // MARK: - From synchronous code

    /// Acquires the lock for the calling thread; false when the time was over.
    func acquire(timeout: Duration?, recovers: Bool = false) throws -> Bool {
        let verb = Self.acquisition(timeout, recovers: recovers)
        return try handle.ask(Self.request(verb, Self.thread), timeout: timeout).isInTime()
    }

    /// Does something that the owner may: the calling thread or, in a task, that.
    private func ask(asOwner verb: LockRoom.Verb, count: Int = 0, timeout: Duration? = nil) throws -> Bool {
        let answer = try handle.ask(Self.request(verb, Self.thread, count: count), timeout: timeout)
        guard case .refused(.notOwner) = answer, let task = TaskToken.current else { return try answer.isInTime() }
        return try handle.ask(Self.request(verb, task, count: count), timeout: timeout).isInTime()
    }

    /// Releases the lock.
    func release() throws {
        _ = try ask(asOwner: .release)
    }

    /// Waits for a notification; false when the time was over.
    func wait(timeout: Duration?) throws -> Bool {
        try ask(asOwner: .wait, timeout: timeout)
    }

    /// Notifies so many of those who wait; nil for all.
    func notify(_ count: Int?) throws {
        _ = try ask(asOwner: count == nil ? .notifyAll : .notify, count: count ?? 0)
    }

    /// Runs `body` with the lock held.
    func withLock<Result>(recovers: Bool = false, _ body: () throws -> Result) throws -> Result {
        _ = try acquire(timeout: nil, recovers: recovers)
        let result: Result
        do { result = try body() } catch {
            // What `body` threw says more.
            try? release()
            throw error
        }
        // When the connection broke meanwhile, somebody else may have been let in.
        try release()
        return result
    }

    /// How often the lock is acquired.
    func count() throws -> Int {
        try handle.ask(Self.request(.look, 0)).number()
    }

    // MARK: - From tasks

    /// The calling task, as an owner.
    private static var task: UInt64 { TaskToken.current ?? thread }

    /// Acquires the lock for the calling task; false when the time was over.
    func acquire(timeout: Duration?, recovers: Bool = false) async throws -> Bool {
        let verb = Self.acquisition(timeout, recovers: recovers)
        return try await handle.ask(Self.request(verb, Self.task), timeout: timeout).isInTime()
    }

    /// Releases the lock.
    func release() async throws {
        try await handle.askUncancelled(Self.request(.release, Self.task)).isInTime()
    }

    /// Waits for a notification; false when the time was over.
    func wait(timeout: Duration?) async throws -> Bool {
        try await handle.ask(Self.request(.wait, Self.task), timeout: timeout).isInTime()
    }

    /// Notifies so many of those who wait; nil for all.
    func notify(_ count: Int?) async throws {
        let verb: LockRoom.Verb = count == nil ? .notifyAll : .notify
        try await handle.askUncancelled(Self.request(verb, Self.task, count: count ?? 0)).isInTime()
    }

    /// Runs `body` with the lock held.
    func withLock<Result>(recovers: Bool = false, _ body: () async throws -> Result) async throws -> Result {
        _ = try await acquire(timeout: nil, recovers: recovers)
        let result: Result
        do { result = try await body() } catch {
            // As in the blocking form.
            try? await release()
            throw error
        }
        try await release()
        return result
    }

    /// How often the lock is acquired.
    func count() async throws -> Int {
        try await handle.ask(Self.request(.look, 0)).number()
    }
}
