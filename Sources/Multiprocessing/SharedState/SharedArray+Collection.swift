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
            precondition(index >= 0 && index < count, "the index is out of the shared array's range")
            return elements[index]
        }
        set {
            precondition(index >= 0 && index < count, "the index is out of the shared array's range")
            elements[index] = newValue
        }
    }

    /// Writes `newElements` over the elements in `range`; their number has to be the same, or it traps.
    public func replaceElements(in range: Range<Int>, with newElements: some Collection<Element>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "the range is out of the shared array's range")
        precondition(range.count == newElements.count, "a shared array's length cannot change")
        _ = UnsafeMutableBufferPointer(start: elements + range.lowerBound, count: range.count).update(from: newElements)
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
