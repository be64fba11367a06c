// SPDX-License-Identifier: Apache-2.0

/// Elements on their way from callers to callers, first in, first out, both served in the order they came.
package struct QueueRoom<Element: Codable & Sendable> {
    /// One who waits for room.
    private struct Putter: TicketHolder {
        let ticket: Ticket
        let element: Element
    }

    private let capacity: Int
    private var elements = FIFO<Element>()
    /// Who waits for an element: nobody while there are any.
    private var getters = WaitingLine<Ticket>()
    /// Who waits for room.
    private var putters = WaitingLine<Putter>()
    /// Who waits until everything is dealt with.
    private var joiners = WaitingLine<Ticket>()
    private var unfinished = 0
    private var isShutDown = false
    private var answers = RoomAnswers<Element>()

    /// Creates a queue for at most `capacity` elements.
    package init(capacity: Int? = nil) {
        self.capacity = capacity ?? .max
    }

    /// Puts an element, once there is room.
    package mutating func put(_ element: Element, _ ticket: Ticket) {
        guard !isShutDown else { return answers.add(.refused(.shutDown), to: ticket) }
        putters.append(Putter(ticket: ticket, element: element))
        serve()
    }

    /// Takes the oldest element, once there is one.
    package mutating func get(_ ticket: Ticket) {
        getters.append(ticket)
        serve()
    }

    /// Moves elements in and out as far as that goes.
    private mutating func serve() {
        while true {
            if elements.count < capacity, let putter = putters.popFirst() {
                elements.append(putter.element)
                unfinished += 1
                answers.add(.done, to: putter.ticket)
            } else if !elements.isEmpty, let ticket = getters.popFirst() {
                if let element = elements.popFirst() { answers.add(.element(element), to: ticket) }
            } else {
                break
            }
        }
        guard isShutDown, elements.isEmpty else { return }
        while let ticket = getters.popFirst() { answers.add(.refused(.shutDown), to: ticket) }
    }

    /// Lets nothing more in; with `immediate` nothing out either.
    package mutating func shutDown(immediate: Bool, _ ticket: Ticket) {
        isShutDown = true
        answers.add(.done, to: ticket)
        while let putter = putters.popFirst() { answers.add(.refused(.shutDown), to: putter.ticket) }
        if immediate {
            unfinished -= elements.count
            elements = FIFO()
            finish()
        }
        serve()
    }

    /// An element is dealt with.
    package mutating func taskDone(_ ticket: Ticket) {
        guard unfinished > 0 else { return answers.add(.refused(.tooManyTasksDone), to: ticket) }
        unfinished -= 1
        answers.add(.done, to: ticket)
        finish()
    }

    /// Waits until everything is dealt with.
    package mutating func join(_ ticket: Ticket) {
        joiners.append(ticket)
        finish()
    }

    private mutating func finish() {
        guard unfinished <= 0 else { return }
        for ticket in joiners.takeAll() { answers.add(.done, to: ticket) }
    }

    /// What can be asked.
    package enum Question: UInt8, Codable, Sendable {
        case count
        case unfinished
        case isFull
    }

    /// Answers a question.
    package mutating func look(_ question: Question, _ ticket: Ticket) {
        let number =
            switch question {
            case .count: elements.count
            case .unfinished: unfinished
            case .isFull: elements.count >= capacity ? 1 : 0
            }
        answers.add(.number(number), to: ticket)
    }

    /// A call does not wait any longer, if it does: nothing is put or taken.
    package mutating func withdraw(_ ticket: Ticket, because reason: RoomWithdrawal) {
        // A call waits for one thing.
        if getters.remove(ticket) != nil || putters.remove(ticket) != nil || joiners.remove(ticket) != nil {
            answers.add(reason.answer(), to: ticket)
        }
    }

    /// A client is gone: what it waits to put is not put, and it takes nothing.
    package mutating func leave(client: UInt64) {
        getters.removeAll { $0.client == client }
        putters.removeAll { $0.ticket.client == client }
        joiners.removeAll { $0.client == client }
    }

    /// Takes the answers that are due.
    package mutating func takeAnswers() -> [(Ticket, RoomAnswer<Element>)] { answers.take() }
}

extension QueueRoom: WaitingRoom {
    /// What a new one is made from.
    struct Plan: Codable {
        let capacity: Int?
    }

    /// What callers ask.
    enum Verb: UInt8, Codable {
        case put
        case get
        case taskDone
        case join
        case shutDown
        case shutDownAtOnce
        case count
        case unfinished
        case isFull
    }

    /// What callers ask, with the element that is put.
    struct Request: Codable, Sendable {
        let verb: Verb
        let element: Element?

        init(_ verb: Verb, _ element: Element? = nil) {
            self.verb = verb
            self.element = element
        }

        /// Reads a request.
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            verb = try container.decode(Verb.self)
            // Not as an optional, which could not be told from an element that is nil.
            element = verb == .put ? try container.decode(Element.self) : nil
        }

        /// Writes a request.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            try container.encode(verb)
            if let element { try container.encode(element) }
        }
    }

    init(_ plan: Plan) {
        self.init(capacity: plan.capacity)
    }

    mutating func enter(_ request: Request, as ticket: Ticket) {
        switch request.verb {
        case .put: if let element = request.element { put(element, ticket) } else { withoutElement(ticket) }
        case .get: get(ticket)
        case .taskDone: taskDone(ticket)
        case .join: join(ticket)
        case .shutDown: shutDown(immediate: false, ticket)
        case .shutDownAtOnce: shutDown(immediate: true, ticket)
        case .count: look(.count, ticket)
        case .unfinished: look(.unfinished, ticket)
        case .isFull: look(.isFull, ticket)
        }
    }

    /// Answers a request that no handle makes.
    private mutating func withoutElement(_ ticket: Ticket) {
        answers.add(.failed(ManagerError(.notUnderstood, "nothing came to be put")), to: ticket)
    }
}
