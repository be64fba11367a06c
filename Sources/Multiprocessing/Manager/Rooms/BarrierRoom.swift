// SPDX-License-Identifier: Apache-2.0

/// A point that a number of callers reach together, again and again.
package struct BarrierRoom {
    private let parties: Int
    private let defaultPatience: Int64?
    private let action: (@Sendable () throws -> Void)?
    private var waiting: [Ticket] = []
    private var isBroken = false
    private var answers = RoomAnswers<Never>()

    /// Creates a barrier.
    package init(parties: Int, patience: Int64? = nil, action: (@Sendable () throws -> Void)? = nil) {
        self.parties = parties
        self.defaultPatience = patience
        self.action = action
    }

    /// How long a call waits that does not say, in nanoseconds.
    package var patience: Int64? { defaultPatience }

    /// A party arrives. The last one has the action run, and all go on.
    package mutating func arrive(_ ticket: Ticket) {
        guard !isBroken else { return answers.add(.refused(.broken), to: ticket) }
        guard waiting.count + 1 >= parties else { return waiting.append(ticket) }
        do {
            try action?()
        } catch {
            `break`()
            return answers.add(.failed(error), to: ticket)
        }
        waiting.append(ticket)
        for (place, waiter) in waiting.enumerated() { answers.add(.number(place), to: waiter) }
        waiting = []
    }

    /// Breaks it.
    package mutating func abort(_ ticket: Ticket) {
        `break`()
        answers.add(.done, to: ticket)
    }

    /// Makes it as new; those who wait are told that it was broken.
    package mutating func reset(_ ticket: Ticket) {
        `break`()
        isBroken = false
        answers.add(.done, to: ticket)
    }

    /// What can be asked.
    package enum Question: UInt8, Codable, Sendable {
        case parties
        case waiting
        case isBroken
    }

    /// Answers a question.
    package mutating func look(_ question: Question, _ ticket: Ticket) {
        let number =
            switch question {
            case .parties: parties
            case .waiting: waiting.count
            case .isBroken: isBroken ? 1 : 0
            }
        answers.add(.number(number), to: ticket)
    }

    private mutating func `break`() {
        isBroken = true
        for waiter in waiting { answers.add(.refused(.broken), to: waiter) }
        waiting = []
    }

    /// A call does not wait any longer, if it does, which breaks the barrier for the others.
    package mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        // In linear time, once: after it nobody waits any more.
        guard let index = waiting.firstIndex(of: ticket) else { return }
        waiting.remove(at: index)
        answers.add(reason == .timedOut ? .refused(.brokenInTime) : .cancelled, to: ticket)
        `break`()
    }

    /// A client is gone. When it waited, the barrier is broken: it will not be there.
    package mutating func leave(client: UInt64) {
        let count = waiting.count
        waiting.removeAll { $0.client == client }
        if waiting.count < count { `break`() }
    }

    /// Takes the answers that are due.
    package mutating func takeAnswers() -> [(Ticket, RoomAnswer<Never>)] { answers.take() }
}

extension BarrierRoom: WaitingRoom {
    /// What a new one is made from.
    struct Plan: Codable, Sendable {
        let parties: Int
        let patience: Int64?
        let action: BarrierAction?
    }

    /// What callers ask.
    enum Request: UInt8, Codable {
        case wait
        case abort
        case reset
        case parties
        case waiting
        case isBroken
    }

    init(_ plan: Plan) {
        self.init(parties: plan.parties, patience: plan.patience, action: plan.action?.run)
    }

    mutating func enter(_ request: Request, as ticket: Ticket) {
        switch request {
        case .wait: arrive(ticket)
        case .abort: abort(ticket)
        case .reset: reset(ticket)
        case .parties: look(.parties, ticket)
        case .waiting: look(.waiting, ticket)
        case .isBroken: look(.isBroken, ticket)
        }
    }
}
