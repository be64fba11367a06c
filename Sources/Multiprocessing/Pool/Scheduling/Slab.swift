// SPDX-License-Identifier: Apache-2.0

/// Values found by number in constant time, whose numbers are used again but never mistaken: each carries the generation of its place.
///
/// Values are plain bits, so that reading one copies nothing but what is read, and changing one happens in its place.
struct Slab<Value: BitwiseCopyable> {
    /// The number of a value: its place, and above that the generation.
    struct Key: Hashable, Sendable, BitwiseCopyable {
        let number: UInt64

        /// The place: small, and used again once the value is removed.
        var index: Int { Int(truncatingIfNeeded: number & 0xffff_ffff) }
        fileprivate var generation: UInt32 { UInt32(truncatingIfNeeded: number >> 32) }

        init(number: UInt64) {
            self.number = number
        }

        fileprivate init(index: Int, generation: UInt32) {
            number = UInt64(index) | UInt64(generation) << 32
        }
    }

    private struct Place: BitwiseCopyable {
        var generation: UInt32
        /// Whether a value is here; otherwise what is left of the last one.
        var isTaken: Bool
        var value: Value
    }

    private var places: [Place] = []
    private var free: [Int] = []

    /// How many values there are.
    private(set) var count = 0

    /// Adds a value. Generations begin with 1, so no key is 0.
    mutating func insert(_ value: Value) -> Key {
        count += 1
        if let index = free.popLast() {
            places[index].isTaken = true
            places[index].value = value
            return Key(index: index, generation: places[index].generation)
        }
        places.append(Place(generation: 1, isTaken: true, value: value))
        return Key(index: places.count - 1, generation: 1)
    }

    /// Whether the value is still there.
    @inline(__always)
    func contains(_ key: Key) -> Bool {
        let index = key.index
        return index < places.count && places[index].generation == key.generation && places[index].isTaken
    }

    /// The value, if it is still there.
    @inline(__always)
    subscript(key: Key) -> Value? { contains(key) ? places[key.index].value : nil }

    /// The value, which must be there.
    @inline(__always)
    subscript(existing key: Key) -> Value {
        _read {
            precondition(contains(key), "a value that was removed cannot be read")
            yield places[key.index].value
        }
        _modify {
            precondition(contains(key), "a value that was removed cannot be changed")
            yield &places[key.index].value
        }
    }

    /// Removes a value and returns it, if it is still there.
    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        guard contains(key) else { return nil }
        count -= 1
        places[key.index].isTaken = false
        places[key.index].generation &+= 1
        if places[key.index].generation == 0 { places[key.index].generation = 1 }
        free.append(key.index)
        return places[key.index].value
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
