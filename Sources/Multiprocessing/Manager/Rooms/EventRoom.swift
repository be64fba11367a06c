// SPDX-License-Identifier: Apache-2.0

/// A flag that callers wait for.
package struct EventRoom {
    private var isSet = false
    private var waiting = WaitingLine<Ticket>()
    private var answers = RoomAnswers<Never>()

    /// Creates a flag that is not set.
    package init() {}

    /// Sets it, and lets all go on who wait.
    package mutating func set(_ ticket: Ticket) {
        isSet = true
        answers.add(.done, to: ticket)
        for waiter in waiting.takeAll() { answers.add(.done, to: waiter) }
    }

    /// Makes it unset.
    package mutating func clear(_ ticket: Ticket) {
        isSet = false
        answers.add(.done, to: ticket)
    }

    /// Waits until it is set.
    package mutating func wait(_ ticket: Ticket) {
        if isSet { answers.add(.done, to: ticket) } else { waiting.append(ticket) }
    }

    /// Whether it is set: 1 or 0.
    package mutating func look(_ ticket: Ticket) {
        answers.add(.number(isSet ? 1 : 0), to: ticket)
    }

    /// A call does not wait any longer, if it does.
    package mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        if waiting.remove(ticket) != nil { answers.add(reason.answer(), to: ticket) }
    }

    /// A client is gone.
    package mutating func leave(client: UInt64) {
        waiting.removeAll { $0.client == client }
    }

    /// Takes the answers that are due.
    package mutating func takeAnswers() -> [(Ticket, RoomAnswer<Never>)] { answers.take() }
}

extension EventRoom: WaitingRoom {
    /// What callers ask.
    enum Request: UInt8, Codable {
        case set
        case clear
        case wait
        case look
    }

    init(_: Nothing) {
        self.init()
    }

    mutating func enter(_ request: Request, as ticket: Ticket) {
        switch request {
        case .set: set(ticket)
        case .clear: clear(ticket)
        case .wait: wait(ticket)
        case .look: look(ticket)
        }
    }
}
