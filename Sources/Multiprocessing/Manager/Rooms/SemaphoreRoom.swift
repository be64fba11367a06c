// SPDX-License-Identifier: Apache-2.0

/// A number of permits, which callers wait for in the order they came.
package struct SemaphoreRoom {
    /// The most permits of any semaphore.
    package static let largest = Int(Int32.max)

    private var value: Int
    private let maximum: Int
    private var waiting = WaitingLine<Ticket>()
    private var answers = RoomAnswers<Never>()

    /// Creates a semaphore with `value` permits, of at most `maximum`.
    package init(value: Int, maximum: Int = largest) {
        self.value = value
        self.maximum = maximum
    }

    /// Takes a permit, once there is one.
    package mutating func acquire(_ ticket: Ticket) {
        waiting.append(ticket)
        serve()
    }

    /// Gives permits; all of them or, when there would be too many, none.
    package mutating func release(_ count: Int, _ ticket: Ticket) {
        guard count > 0, count <= maximum - value else { return answers.add(.refused(.tooManyReleases), to: ticket) }
        value += count
        answers.add(.done, to: ticket)
        serve()
    }

    /// How many permits there are.
    package mutating func look(_ ticket: Ticket) {
        answers.add(.number(value), to: ticket)
    }

    /// Gives permits to those who wait.
    private mutating func serve() {
        while value > 0, let ticket = waiting.popFirst() {
            value -= 1
            answers.add(.done, to: ticket)
        }
    }

    /// A call does not wait any longer, if it does.
    package mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        if waiting.remove(ticket) != nil { answers.add(reason.answer(), to: ticket) }
    }

    /// A client is gone. The permits that it had taken are gone with it.
    package mutating func leave(client: UInt64) {
        waiting.removeAll { $0.client == client }
    }

    /// Takes the answers that are due.
    package mutating func takeAnswers() -> [(Ticket, RoomAnswer<Never>)] { answers.take() }
}

extension SemaphoreRoom: WaitingRoom {
    /// What a new one is made from.
    struct Plan: Codable {
        let value: Int
        let maximum: Int
    }

    /// What callers ask: nil to acquire, a number of permits to give, 0 for how many there are.
    struct Request: Codable {
        let released: Int?

        /// Takes a permit.
        static let acquire = Request(released: nil)
        /// Asks how many there are.
        static let look = Request(released: 0)
        /// Gives some.
        static func release(_ count: Int) -> Request { Request(released: count) }
    }

    init(_ plan: Plan) {
        self.init(value: plan.value, maximum: plan.maximum)
    }

    mutating func enter(_ request: Request, as ticket: Ticket) {
        switch request.released {
        case nil: acquire(ticket)
        case 0?: look(ticket)
        case let count?: release(count, ticket)
        }
    }
}
