// SPDX-License-Identifier: Apache-2.0
//
// Values in a manager whose callers may have to wait: locks, queues, events. A call that has to wait is noted and costs no thread; whatever lets it go on, another call, a time that is over, the end of a client,
// answers it. Who waits for what, and who is served next, is decided by pure state machines, the rooms.

/// A call of a client in a room.
package struct Ticket: Hashable, Sendable {
    /// The number of the client's connection.
    package let client: UInt64
    /// The number of the call among those of that connection.
    package let call: UInt64

    /// The call of that number of a client.
    package init(client: UInt64, call: UInt64) {
        self.client = client
        self.call = call
    }
}

/// What a call in a room is answered.
package enum RoomAnswer<Element> {
    case done
    case number(Int)
    case element(Element)
    case timedOut
    case cancelled
    /// The lock's owner died, whose pid this is.
    case ownerDied(Int32)
    case refused(RoomRefusal)
    /// A function of the program threw it.
    case failed(any Error)
}

extension RoomAnswer: Sendable where Element: Sendable {}

/// Why a call in a room was not made.
package enum RoomRefusal: UInt8, Sendable {
    case notOwner
    case deadlock
    case tooManyReleases
    case tooManyTasksDone
    case shutDown
    case broken
    /// Broken by the caller's own timeout.
    case brokenInTime
}

/// Why a call does not wait any longer.
package enum RoomWithdrawal: Sendable {
    case timedOut
    case cancelled

    /// What the call is answered.
    func answer<Element>() -> RoomAnswer<Element> {
        switch self {
        case .timedOut: .timedOut
        case .cancelled: .cancelled
        }
    }
}

/// Answers that are due.
struct RoomAnswers<Element> {
    private var answers: [(Ticket, RoomAnswer<Element>)] = []

    /// Answers a call.
    mutating func add(_ answer: RoomAnswer<Element>, to ticket: Ticket) {
        answers.append((ticket, answer))
    }

    /// Takes all.
    mutating func take() -> [(Ticket, RoomAnswer<Element>)] {
        defer { answers = [] }
        return answers
    }
}

/// The state of a value whose callers may have to wait. Every call is answered once, sooner or later.
protocol WaitingRoom: SendableMetatype {
    /// What is handed from one caller to another; `Never` for nothing.
    associatedtype Element: Codable & Sendable
    /// What a new one is made from.
    associatedtype Plan: Codable & Sendable
    /// What callers ask.
    associatedtype Request: Codable & Sendable

    /// Makes one.
    init(_ plan: Plan)

    /// How long a call waits that does not say, in nanoseconds; nil for ever.
    var patience: Int64? { get }

    /// A call comes.
    mutating func enter(_ request: Request, as ticket: Ticket)

    /// A call does not wait any longer, if it does.
    mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal)

    /// A client is gone, with all its calls.
    mutating func leave(client: UInt64)

    /// Takes the answers that are due.
    mutating func takeAnswers() -> [(Ticket, RoomAnswer<Element>)]
}

extension WaitingRoom {
    /// For ever.
    var patience: Int64? { nil }
}
