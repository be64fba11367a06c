// SPDX-License-Identifier: Apache-2.0

extension SharedArray: RandomAccessCollection {
    /// Always 0.
    public var startIndex: Int { 0 }

    /// The number of elements.
    public var endIndex: Int { count }

    /// The element at `index`, read or written in place and without the lock. An index out of range traps.
    @inlinable
    public subscript(index: Int) -> Element {
        get {
            guard index >= 0 && index < count else { fatalError("the index is out of the shared array's range") }
            return elements[index]
        }
        set {
            guard index >= 0 && index < count else { fatalError("the index is out of the shared array's range") }
            elements[index] = newValue
        }
    }

    /// Writes `newElements` over the elements in `range`; their number has to be the same, or it traps. They may be elements of this array, whichever way the two ranges overlap.
    public func replaceElements(in range: Range<Int>, with newElements: some Collection<Element>) {
        guard range.lowerBound >= 0 && range.upperBound <= count else {
            fatalError("the range is out of the shared array's range")
        }
        guard range.count == newElements.count else { fatalError("a shared array's length cannot change") }
        let target = UnsafeMutableBufferPointer(start: elements + range.lowerBound, count: range.count)
        // A slice of this array lies in the memory that is written to; moved as a whole it arrives as it was.
        let isMoved: Void? = newElements.withContiguousStorageIfAvailable { source in
            guard let from = source.baseAddress, let to = target.baseAddress else { return }
            to.update(from: from, count: source.count)
        }
        if isMoved != nil { return }
        // Others, such as a reversed slice, read this array as they go.
        _ = target.update(from: Array(newElements))
    }

    /// Calls `body` with the elements, of which algorithms of the standard library make use.
    @inlinable
    public func withContiguousStorageIfAvailable<R>(_ body: (UnsafeBufferPointer<Element>) throws -> R) rethrows -> R? {
        try withExtendedLifetime(self) { try body(UnsafeBufferPointer(start: elements, count: count)) }
    }
}

extension SharedArray: CustomStringConvertible {
    /// The elements, as an array prints them.
    public var description: String { Array(self).description }
}
