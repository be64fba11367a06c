// SPDX-License-Identifier: Apache-2.0
//
// A lock that is handed from owner to owner in the order they came, and those who wait for a notification without it: what a lock, a recursive lock and a condition are in a manager.
//
// A caller who waits for a notification has given the lock up. Notified, or late, it queues for the lock again, and is answered when it has it.

/// A lock, with a condition on it.
package struct LockRoom {
    /// A thread or task of a client.
    package struct Holder: Hashable, Sendable {
        package let client: UInt64
        /// Tells the threads and tasks of the client apart.
        package let token: UInt64
        /// The client's pid.
        package let process: Int32

        /// The thread or task `token` of a client.
        package init(client: UInt64, token: UInt64, process: Int32) {
            self.client = client
            self.token = token
            self.process = process
        }
    }

    /// Why somebody waits for the lock.
    private enum Purpose {
        case acquire
        /// Whatever happened to the last owner.
        case recover
        /// To go on after a wait for a notification, as often as the lock was acquired then.
        case goOn(count: Int, Awakening)
    }

    /// What ended a wait for a notification.
    private enum Awakening {
        /// One that may be passed on to somebody else.
        case notification
        case notificationOfAll
        case withdrawal(RoomWithdrawal)

        /// What the one is answered who waited.
        var answer: RoomAnswer<Never> {
            switch self {
            case .notification, .notificationOfAll: .done
            case .withdrawal(let reason): reason.answer()
            }
        }
    }

    /// One who waits for the lock.
    private struct Waiter: TicketHolder {
        let ticket: Ticket
        let holder: Holder
        let purpose: Purpose
    }

    /// One who waits for a notification.
    private struct Sleeper: TicketHolder {
        let ticket: Ticket
        let holder: Holder
        /// How often it had acquired the lock.
        let count: Int
    }

    private let isRecursive: Bool
    private var owner: (holder: Holder, count: Int)?
    /// The pid of an owner who died, of which nobody was told.
    private var dead: Int32?
    private var waiters = WaitingLine<Waiter>()
    private var sleepers = WaitingLine<Sleeper>()
    private var answers = RoomAnswers<Never>()

    /// Creates a free lock.
    package init(isRecursive: Bool) {
        self.isRecursive = isRecursive
    }

    // MARK: - The lock

    /// Acquires the lock, once it is free.
    ///
    /// - Parameters:
    ///   - recovers: Whether a death that nobody was told of is taken as told.
    ///   - isPatient: Whether it would wait for ever.
    package mutating func acquire(_ ticket: Ticket, _ holder: Holder, recovers: Bool = false, isPatient: Bool = true) {
        if let owner, owner.holder == holder {
            if isRecursive {
                self.owner?.count += 1
                return answers.add(.done, to: ticket)
            }
            if isPatient { return answers.add(.refused(.deadlock), to: ticket) }
        }
        waiters.append(Waiter(ticket: ticket, holder: holder, purpose: recovers ? .recover : .acquire))
        handOn()
    }

    /// Takes back one acquisition.
    package mutating func release(_ ticket: Ticket, _ holder: Holder) {
        guard checkOwner(holder, ticket) else { return }
        self.owner?.count -= 1
        answers.add(.done, to: ticket)
        guard owner?.count == 0 else { return }
        owner = nil
        handOn()
    }

    /// How often the lock is acquired.
    package mutating func look(_ ticket: Ticket) {
        answers.add(.number(owner?.count ?? 0), to: ticket)
    }

    /// Gives a free lock to the first who waits.
    private mutating func handOn() {
        while owner == nil, let waiter = waiters.popFirst() {
            switch waiter.purpose {
            case .acquire:
                // It is told of the death instead, and does not have the lock.
                if let process = dead.take() {
                    answers.add(.ownerDied(process), to: waiter.ticket)
                    continue
                }
                owner = (waiter.holder, 1)
                answers.add(.done, to: waiter.ticket)
            case .recover:
                dead = nil
                owner = (waiter.holder, 1)
                answers.add(.done, to: waiter.ticket)
            case .goOn(let count, let awakening):
                // It has the lock again, also when it is told of a death.
                owner = (waiter.holder, count)
                answers.add(dead.take().map { .ownerDied($0) } ?? awakening.answer, to: waiter.ticket)
            }
        }
    }

    private mutating func checkOwner(_ holder: Holder, _ ticket: Ticket) -> Bool {
        if let owner, owner.holder == holder { return true }
        answers.add(.refused(.notOwner), to: ticket)
        return false
    }

    // MARK: - The condition

    /// Gives up the lock, waits for a notification, and acquires the lock again.
    package mutating func wait(_ ticket: Ticket, _ holder: Holder) {
        guard checkOwner(holder, ticket) else { return }
        sleepers.append(Sleeper(ticket: ticket, holder: holder, count: owner?.count ?? 1))
        owner = nil
        handOn()
    }

    /// Lets at most `count` go on of those who wait for a notification; nil for all.
    package mutating func notify(_ count: Int?, _ ticket: Ticket, _ holder: Holder) {
        guard checkOwner(holder, ticket) else { return }
        answers.add(.done, to: ticket)
        wake(count)
    }

    private mutating func wake(_ count: Int?) {
        var left = count ?? .max
        while left > 0, let sleeper = sleepers.popFirst() {
            left -= 1
            queue(sleeper, count == nil ? .notificationOfAll : .notification)
        }
    }

    private mutating func queue(_ sleeper: Sleeper, _ awakening: Awakening) {
        let purpose = Purpose.goOn(count: sleeper.count, awakening)
        waiters.append(Waiter(ticket: sleeper.ticket, holder: sleeper.holder, purpose: purpose))
    }

    // MARK: - Leaving

    /// A call does not wait any longer, if it does. Who waits for a notification has to have the lock again first; who was notified goes on.
    package mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        if let sleeper = sleepers.remove(ticket) {
            queue(sleeper, .withdrawal(reason))
            return handOn()
        }
        guard let waiter = waiters[ticket] else { return }
        if case .goOn = waiter.purpose { return }
        if waiters.remove(ticket) != nil { answers.add(reason.answer(), to: ticket) }
    }

    /// A client is gone. The lock passes on, if it had it, and so do notifications that it was given and had not noticed yet.
    package mutating func leave(client: UInt64) {
        sleepers.removeAll { $0.holder.client == client }
        let notifications = waiters.all.count { waiter in
            guard waiter.holder.client == client, case .goOn(_, .notification) = waiter.purpose else { return false }
            return true
        }
        waiters.removeAll { $0.holder.client == client }
        wake(notifications)
        if let holder = owner?.holder, holder.client == client {
            owner = nil
            dead = holder.process
        }
        handOn()
    }

    /// Takes the answers that are due.
    package mutating func takeAnswers() -> [(Ticket, RoomAnswer<Never>)] { answers.take() }
}

extension LockRoom: WaitingRoom {
    /// What a new one is made from.
    struct Plan: Codable {
        let isRecursive: Bool
    }

    /// What callers do.
    enum Verb: UInt8, Codable {
        case acquire
        /// As `acquire`, with a time.
        case acquireInTime
        case recover
        case release
        case look
        case wait
        case notify
        case notifyAll
    }

    /// What callers ask.
    struct Request: Codable {
        let verb: Verb
        let token: UInt64
        let process: Int32
        /// How many are to be notified.
        let count: Int
    }

    init(_ plan: Plan) {
        self.init(isRecursive: plan.isRecursive)
    }

    mutating func enter(_ request: Request, as ticket: Ticket) {
        let holder = Holder(client: ticket.client, token: request.token, process: request.process)
        switch request.verb {
        case .acquire: acquire(ticket, holder)
        case .acquireInTime: acquire(ticket, holder, isPatient: false)
        case .recover: acquire(ticket, holder, recovers: true)
        case .release: release(ticket, holder)
        case .look: look(ticket)
        case .wait: wait(ticket, holder)
        case .notify: notify(max(0, request.count), ticket, holder)
        case .notifyAll: notify(nil, ticket, holder)
        }
    }
}
