// SPDX-License-Identifier: Apache-2.0

/// Values that come in any order, each with its number, and leave in the order of the numbers. Pure.
struct PieceWindow<Element> {
    /// Places from number `base - head` on; those before `head` are empty for good.
    private var places: [Element?] = []
    private var head = 0
    /// The number of the one that leaves next.
    private(set) var base = 0

    /// Whether the next one is there.
    var hasFirst: Bool { head < places.count && places[head] != nil }

    /// Puts a value in its place. One that has left is not put in again.
    mutating func insert(_ element: Element, at number: Int) {
        guard number >= base else { return }
        let index = number - base + head
        while places.count <= index { places.append(nil) }
        places[index] = element
    }

    /// Takes the next one, if it is there.
    mutating func popFirst() -> Element? {
        guard head < places.count, let element = places[head].take() else { return nil }
        head += 1
        base += 1
        if head == places.count {
            places.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 256, head * 2 >= places.count {
            places.removeFirst(head)
            head = 0
        }
        return element
    }
}
