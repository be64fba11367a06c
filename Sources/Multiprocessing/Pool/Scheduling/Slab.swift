// SPDX-License-Identifier: Apache-2.0

/// Values found by number in constant time, whose numbers are used again but never mistaken: each carries the generation of its place.
struct Slab<Value> {
    /// The number of a value: its place, and above that the generation.
    struct Key: Hashable, Sendable {
        let number: UInt64

        fileprivate var index: Int { Int(truncatingIfNeeded: number & 0xffff_ffff) }
        fileprivate var generation: UInt32 { UInt32(truncatingIfNeeded: number >> 32) }

        init(number: UInt64) {
            self.number = number
        }

        fileprivate init(index: Int, generation: UInt32) {
            number = UInt64(index) | UInt64(generation) << 32
        }
    }

    private struct Place {
        var generation: UInt32
        var isTaken: Bool
    }

    /// What is known of each place; apart from the values, which are large and counted, so that a look at a key copies none.
    private var places: [Place] = []
    private var values: [Value?] = []
    private var free: [Int] = []

    /// How many values there are.
    private(set) var count = 0

    /// Adds a value. Generations begin with 1, so no key is 0.
    mutating func insert(_ value: Value) -> Key {
        count += 1
        if let index = free.popLast() {
            values[index] = value
            places[index].isTaken = true
            return Key(index: index, generation: places[index].generation)
        }
        places.append(Place(generation: 1, isTaken: true))
        values.append(value)
        return Key(index: places.count - 1, generation: 1)
    }

    /// Whether the value is still there.
    func contains(_ key: Key) -> Bool {
        guard key.index < places.count else { return false }
        let place = places[key.index]
        return place.isTaken && place.generation == key.generation
    }

    /// The value, if it is still there. Setting nil is no way to remove it.
    subscript(key: Key) -> Value? {
        _read {
            if contains(key) { yield values[key.index] } else { yield nil }
        }
        _modify {
            precondition(contains(key), "a value that was removed cannot be changed")
            yield &values[key.index]
        }
    }

    /// Removes a value and returns it, if it is still there.
    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        guard contains(key) else { return nil }
        count -= 1
        let value = values[key.index].take()
        places[key.index].isTaken = false
        places[key.index].generation &+= 1
        if places[key.index].generation == 0 { places[key.index].generation = 1 }
        free.append(key.index)
        return value
    }

    /// The keys of all values.
    var keys: [Key] {
        places.indices.compactMap { index in
            places[index].isTaken ? Key(index: index, generation: places[index].generation) : nil
        }
    }
}

/// A queue: first in, first out, in amortised constant time.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }

    /// The one that goes out next.
    var first: Element? {
        get { isEmpty ? nil : elements[head] }
        set { if !isEmpty { elements[head] = newValue } }
    }

    /// The one that came in last.
    var last: Element? { isEmpty ? nil : elements[elements.count - 1] }

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// Lets one in at the front, in constant time if one has gone out there before; otherwise in linear time.
    mutating func prepend(_ element: Element) {
        if head > 0 {
            head -= 1
            elements[head] = element
        } else {
            elements.insert(element, at: 0)
        }
    }

    /// Takes the one that came in last.
    mutating func popLast() -> Element? {
        guard !isEmpty else { return nil }
        return elements.removeLast()
    }

    @discardableResult
    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head].take()
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64, head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Whether one of them fulfils `predicate`; the first ones are looked at first.
    func contains(where predicate: (Element) -> Bool) -> Bool {
        elements[head...].contains { $0.map(predicate) ?? false }
    }

    /// Calls `body` with each until it returns true.
    mutating func modify(_ body: (inout Element) -> Bool) {
        for index in head..<elements.count {
            guard var element = elements[index] else { continue }
            let isDone = body(&element)
            elements[index] = element
            if isDone { return }
        }
    }

    /// All, first to last.
    var all: [Element] { elements[head...].compactMap { $0 } }
}
