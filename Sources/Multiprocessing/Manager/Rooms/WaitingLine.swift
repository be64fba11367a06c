// SPDX-License-Identifier: Apache-2.0

/// One who waits, known by the ticket of its call.
package protocol TicketHolder {
    /// The ticket, which nobody else has.
    var ticket: Ticket { get }
}

extension Ticket: TicketHolder {
    /// Itself.
    package var ticket: Ticket { self }
}

/// Those who wait for something in a room: first in, first out, and whoever does not wait any longer leaves from where it is. All that in amortised constant time: thousands of waits may be over at the same
/// moment, and nobody else is served meanwhile.
package struct WaitingLine<Element: TicketHolder> {
    /// The most places that are kept for later when nobody waits.
    private static var keptPlaces: Int { 1024 }
    /// So many places without anybody are not worth a move.
    private static var toleratedGaps: Int { 64 }

    /// In the order they came; nil where one has left.
    private var places: [Element?] = []
    /// The first place that was not passed yet. Nobody is in those before it.
    private var head = 0
    /// In which place each is.
    private var positions: [Ticket: Int] = [:]

    /// Creates a line in which nobody waits.
    package init() {}

    /// Whether nobody waits.
    package var isEmpty: Bool { positions.isEmpty }

    /// How many wait.
    package var count: Int { positions.count }

    /// All who wait, first to last; in linear time.
    package var all: [Element] { places[head...].compactMap { $0 } }

    /// The one of that ticket, if it waits.
    package subscript(ticket: Ticket) -> Element? {
        guard let position = positions[ticket] else { return nil }
        return places[position]
    }

    /// Lets one in at the end.
    package mutating func append(_ element: Element) {
        let former = positions.updateValue(places.count, forKey: element.ticket)
        precondition(former == nil, "a call waits in one place")
        places.append(element)
    }

    /// Takes the one that came first.
    package mutating func popFirst() -> Element? {
        while head < places.count {
            let element = places[head].take()
            head += 1
            guard let element else { continue }
            positions[element.ticket] = nil
            tidy()
            return element
        }
        return nil
    }

    /// Takes the one of that ticket, if it waits.
    package mutating func remove(_ ticket: Ticket) -> Element? {
        guard let position = positions.removeValue(forKey: ticket) else { return nil }
        let element = places[position].take()
        tidy()
        return element
    }

    /// Takes all who wait, first to last.
    package mutating func takeAll() -> [Element] {
        defer { self = WaitingLine() }
        return all
    }

    /// Removes those that fulfil `predicate`, in linear time.
    package mutating func removeAll(where predicate: (Element) -> Bool) {
        for position in head..<places.count {
            guard let element = places[position], predicate(element) else { continue }
            places[position] = nil
            positions[element.ticket] = nil
        }
        tidy()
    }

    /// Closes the gaps once they are more than those who wait: so many have left since the last time that each of them pays for one move.
    private mutating func tidy() {
        if positions.isEmpty {
            // What a crowd needed is given back.
            let isKept = places.count <= Self.keptPlaces
            places.removeAll(keepingCapacity: isKept)
            if !isKept { positions = [:] }
            head = 0
            return
        }
        guard places.count - positions.count > positions.count + Self.toleratedGaps else { return }
        places = places[head...].filter { $0 != nil }
        head = 0
        for (position, element) in places.enumerated() {
            if let element { positions[element.ticket] = position }
        }
    }
}
