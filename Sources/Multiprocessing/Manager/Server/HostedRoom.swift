// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A value in a manager whose callers may have to wait. None of them keeps a thread, or the value: it is always with the next call.
///
/// `@unchecked` is safe because everything in it is used by one call at a time: that whose turn it is.
final class HostedRoom<Room: WaitingRoom>: HostedValue, @unchecked Sendable {
    private var room: Room
    /// Who was not answered yet.
    private var callers: [Ticket: Caller] = [:]

    /// One who waits for an answer.
    private struct Caller {
        let session: ServerSession
        /// Ends the wait, if anything does.
        var timer: Reactor.Token?

        /// Lets go of the timer.
        func stopTimer() {
            if let timer { session.server.reactor.cancel(timer) }
        }
    }

    /// Takes over a room.
    init(_ room: consuming Room, threads: ServerThreads) {
        self.room = room
        super.init(threads: threads)
    }

    deinit {
        // Only for those who gave up their handles while they waited.
        for (ticket, caller) in callers {
            caller.stopTimer()
            caller.session.refuse(ticket.call, ManagerError(.valueGone, "the value does not exist any more"))
        }
    }

    override func readFunction(
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any]
    ) throws -> any FunctionDefinition {
        throw FunctionNotPortable.corrupt("functions cannot be called on a \(Room.self)")
    }

    // MARK: - In the call whose turn it is

    /// A call comes, which waits at most `timeout` nanoseconds: -1 for as long as is usual.
    fileprivate func enter(_ call: PendingCall, _ request: Room.Request, timeout: Int64) {
        // Of one that is gone already, no word of its end would follow.
        guard call.session.attach(self) else { return }
        let ticket = Ticket(client: call.session.serial, call: call.number)
        guard callers[ticket] == nil else { return }
        callers[ticket] = Caller(session: call.session)
        room.enter(request, as: ticket)
        answer()
        guard callers[ticket] != nil, let patience = timeout < 0 ? room.patience : timeout else { return }
        guard patience > 0 else { return withdraw(ticket, because: .timedOut) }
        let (end, overflow) = mp_now().addingReportingOverflow(patience)
        guard !overflow else { return }
        // Not the call, which holds this object.
        let session = call.session
        callers[ticket]?.timer = session.server.reactor.waitUntil(Deadline(nanoseconds: end)) { [weak self] _ in
            // This is the reactor's thread, and answers are encoded by the program's functions.
            guard let self else { return }
            session.server.threads.submit { self.soon(for: session) { $0.withdraw(ticket, because: .timedOut) } }
        }
    }

    private func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        room.withdraw(ticket, because: reason)
        answer()
    }

    /// Gives the answers that are due.
    private func answer() {
        for (ticket, answer) in room.takeAnswers() {
            guard let caller = callers.removeValue(forKey: ticket) else { continue }
            caller.stopTimer()
            if case .failed(let error) = answer {
                caller.session.answer(ticket.call, .failure(error))
            } else {
                caller.session.answer(ticket.call, .success(answer.encoder()))
            }
        }
    }

    // MARK: - From elsewhere

    /// Has something done when it is its turn, on this thread if that is now.
    private func soon(for session: ServerSession, _ body: @escaping (HostedRoom) -> Void) {
        let call = PendingCall(.waiting { [self] _ in body(self) }, number: 0, session: session)
        if let call = add(call) { make(call) }
    }

    override func withdrawal(of call: UInt64, by session: ServerSession) -> PendingCall? {
        let ticket = Ticket(client: session.serial, call: call)
        return PendingCall(
            .waiting { [self] _ in withdraw(ticket, because: .cancelled) },
            number: 0,
            session: session
        )
    }

    override func sessionEnded(_ session: ServerSession) {
        soon(for: session) { hosted in
            hosted.room.leave(client: session.serial)
            for (ticket, caller) in hosted.callers where ticket.client == session.serial {
                caller.stopTimer()
                hosted.callers[ticket] = nil
            }
            hosted.answer()
        }
    }
}

/// What callers ask of a room.
struct RoomDefinition<Room: WaitingRoom>: FunctionDefinition {
    func bind(
        to value: HostedValue,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> HostedCall {
        let hosted = try check(value, is: HostedRoom<Room>.self)
        let argument = try WireCoding.decode(Two<Int64, Room.Request>.self, from: &reader, userInfo: userInfo)
        return .waiting { call in hosted.enter(call, argument.second, timeout: argument.first) }
    }
}
