// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A request of which nothing was sent, because the manager had gone before, or all that came of it has gone with it. It can be made again, of a process that has taken its place.
struct UnsentRequest: Error {
    let channel: ClientChannel

    /// Throws why the manager is gone when it has said that itself: nobody will take its place.
    func checkMayRepeat() throws {
        if let cause = channel.knownCause, cause.code == .shutDown { throw cause }
    }
}

extension ClientChannel {
    /// Makes a call and returns what `read` reads from the answer; the thread is blocked until then.
    ///
    /// - Throws: `ManagerLost`; the error that the function threw; `ManagerError`; what encoding throws; `UnsentRequest`.
    func call<R>(
        _ kind: ManagerRequest,
        _ body: Body,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        lookIfIdle()
        let waiter = ThreadWaiter()
        guard let (number, _) = calls.withLock({ $0.add(.thread(waiter), isTask: false) }) else {
            throw UnsentRequest(channel: self)
        }
        do {
            try link.buffers.withOutgoing { message in
                try write(kind, number, body, to: message)
                try sendReleases()
                try send(message)
            }
        } catch {
            _ = calls.withLock { $0.remove(number) }
            throw error
        }
        if calls.withLock({ $0.wait(for: number) }) == .lead { return try lead(number, waiter, read) }
        if let response = waiter.wait() { return try take(response, read) }
        return try lead(number, waiter, read)
    }

    /// Makes a call and returns what `read` reads from the answer; the task is suspended until then.
    ///
    /// - Parameter room: The value of a call that may wait there. When the task is cancelled, it is withdrawn, and the answer tells whether it was in time.
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled before the answer came: the call is made all the same if it was sent.
    func call<R>(
        _ kind: ManagerRequest,
        in room: UInt64? = nil,
        _ body: Body,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) async throws -> R {
        try take(try await finish(try begin(kind, in: room, body)), read)
    }

    /// Begins a call that a task waits for: sends the request, if there is room for it. `finish` has to follow.
    ///
    /// Not asynchronous, so that nothing of this takes memory of the task while that waits.
    ///
    /// - Throws: `UnsentRequest`; what encoding throws; `CancellationError`.
    func begin(_ kind: ManagerRequest, in room: UInt64?, _ body: Body) throws -> TaskWaiter {
        try Task.checkCancellation()
        lookIfIdle()
        let waiter = TaskWaiter(self, in: room, getsValue: kind == .host)
        guard let (number, startsPump) = calls.withLock({ $0.add(.task(waiter), isTask: true) }) else {
            throw UnsentRequest(channel: self)
        }
        waiter.number = number
        if startsPump { startPump() }
        let message = link.buffers.takeOutgoing()
        do {
            try write(kind, number, body, to: message)
            try sendReleases()
            if try sendAtOnce(message) {
                link.buffers.giveBack(message)
            } else {
                waiter.unsent = message
            }
        } catch {
            link.buffers.giveBack(message)
            _ = calls.withLock { $0.remove(number) }
            throw error
        }
        return waiter
    }

    /// Sends a request if there is room for it. Returns whether it was sent.
    private func sendAtOnce(_ message: OutgoingMessage) throws -> Bool {
        // A stream may take a part of it.
        guard remote == nil else { return false }
        switch try put(message, until: .passed) {
        case .done: return true
        case .timedOut, .busy: return false
        case let outcome: throw failure(outcome)
        }
    }

    /// Returns the answer to a call that has begun; the task is suspended until it is there.
    ///
    /// - Throws: `ManagerLost`; `UnsentRequest`; `ManagerError` for a request that is too large; `CancellationError`.
    func finish(_ waiter: TaskWaiter) async throws -> ManagerResponse {
        if waiter.unsent != nil { try await sendRest(waiter) }
        let response = try await withTaskCancellationHandler {
            try await waiter.wait()
        } onCancel: {
            cancel(waiter)
        }
        if case .lost = response { throw try await lostForTask() }
        return response
    }

    /// Sends the request of a call that found no room; the task is suspended while there is none.
    private func sendRest(_ waiter: TaskWaiter) async throws {
        guard let message = waiter.unsent else { return }
        waiter.unsent = nil
        defer { link.buffers.giveBack(message) }
        do {
            let outcome = try await link.send(message, until: .never)
            guard case .done = outcome else { throw failure(outcome) }
        } catch {
            _ = calls.withLock { $0.remove(waiter.number) }
            throw endIfClosed(error)
        }
    }

    /// Ends a task's wait for an answer: the task was cancelled.
    private func cancel(_ waiter: TaskWaiter) {
        if let room = waiter.room { return withdraw(waiter.number, from: room) }
        // Otherwise the answer is waited for all the same, to give back what it tells.
        if !waiter.getsValue { _ = calls.withLock { $0.remove(waiter.number) } }
        if case .message(let message) = waiter.cancel() {
            giveBack(message, of: .task(waiter))
            link.buffers.giveBack(message)
        }
    }

    /// Says that a call is not to wait any longer. Does not wait itself: whoever cancels a task does not expect that.
    private func withdraw(_ number: UInt64, from room: UInt64) {
        Task.detached { [self] in
            let message = link.buffers.takeOutgoing()
            defer { link.buffers.giveBack(message) }
            message.write { writer, _ in
                writer.write(ManagerRequest.withdraw.rawValue)
                writer.write(number)
                writer.write(room)
            }
            // Without a manager, the call ends as well.
            _ = try? await link.send(message, until: .never)
        }
    }

    // MARK: - Without an answer

    /// Says something that is not answered.
    ///
    /// Blocks while there is no room, until the deadline.
    ///
    /// - Throws: `UnsentRequest` when the manager is gone; `SystemError` when memory is short; `TimeoutError`.
    func tell(
        _ kind: ManagerRequest,
        _ value: UInt64,
        descriptor: SharedDescriptor? = nil,
        until deadline: Deadline = .never
    ) throws {
        try link.buffers.withOutgoing { message in
            message.write { writer, _ in
                writer.write(kind.rawValue)
                writer.write(value)
            }
            if let descriptor { message.attach(descriptor.number, owner: descriptor) }
            try send(message, until: deadline)
        }
    }

    /// Says that a handle is gone. Does not wait: what finds no room goes with the next call.
    func release(_ value: UInt64) {
        let outcome = try? link.buffers.withOutgoing { message in
            message.write { writer, _ in
                writer.write(ManagerRequest.release.rawValue)
                writer.write(value)
            }
            return try link.send(message, until: .passed)
        }
        switch outcome {
        // Nil: memory is short, or the channel is closed, and no call follows.
        case .timedOut, .busy, nil: unsentReleases.withLock { $0.append(value) }
        default: break
        }
    }

    /// Sends what found no room before.
    func sendReleases() throws {
        let values = unsentReleases.withLock { values in
            defer { if !values.isEmpty { values = [] } }
            return values
        }
        for value in values { release(value) }
    }

    // MARK: - Sending

    /// How long to wait for room before the next look, in nanoseconds.
    private static let patience: Int64 = 2_000_000

    /// Sends a message; the thread is blocked while there is no room, and takes answers meanwhile, whoever they are for: a manager whose answers are not taken does not take requests.
    ///
    /// - Throws: `TimeoutError` when there is no room until the deadline, or a moment after it.
    @inline(__always)
    func send(_ message: OutgoingMessage, until deadline: Deadline = .never) throws {
        while true {
            switch try put(message, until: Deadline(nanoseconds: mp_now() + Self.patience)) {
            case .done: return
            case .timedOut, .busy:
                look()
                if deadline.hasPassed { throw TimeoutError(operation: "sending to a manager", timeout: .zero) }
            case let outcome: throw failure(outcome)
            }
        }
    }

    /// Sends a message, and notes when the link says that it is over.
    @inline(__always)
    func put(_ message: OutgoingMessage, until deadline: Deadline) throws -> RingOutcome {
        do { return try link.send(message, until: deadline) } catch { throw endIfClosed(error) }
    }

    /// Notes the end that `error` tells of, if it does.
    private func endIfClosed(_ error: any Error) -> any Error {
        // Of a link that is closed or broken; what encoding throws may be the same, of a connection in the request.
        guard error is ConnectionError, link.isClosed || (link as? StreamLink)?.isBroken == true else { return error }
        return failure(.shut)
    }

    /// What a request throws that was not sent. Only the end of the channel concerns others.
    func failure(_ outcome: RingOutcome) -> any Error {
        switch outcome {
        case .cancelled: return CancellationError()
        case .tooLarge:
            return ManagerError(
                .tooLarge,
                "the request is larger than a message to the manager may be: send it in parts"
            )
        default:
            end()
            return UnsentRequest(channel: self)
        }
    }
}
