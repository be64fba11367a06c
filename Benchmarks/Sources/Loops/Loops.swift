// SPDX-License-Identifier: Apache-2.0

public import Multiprocessing

// Loops over elements that differ only in what they go through. Global functions: a specialised copy of a static one would lie in another module.

/// Adds up the elements through a span.
@inline(never)
public func sum(_ elements: Span<Int>) -> Int {
    var sum = 0
    for index in elements.indices { sum &+= elements[index] }
    return sum
}

/// Adds up the elements through a buffer pointer.
@inline(never)
public func sum(_ elements: UnsafeMutableBufferPointer<Int>) -> Int {
    var sum = 0
    for index in elements.indices { sum &+= elements[index] }
    return sum
}

/// Adds up the elements through the array's subscript.
@inline(never)
public func sum(_ elements: SharedArray<Int>) -> Int {
    var sum = 0
    for index in elements.indices { sum &+= elements[index] }
    return sum
}

/// Adds 1 to each element through a span.
@inline(never)
public func increment(_ elements: inout MutableSpan<Int>) {
    for index in elements.indices { elements[index] &+= 1 }
}

/// Adds 1 to each element through a buffer pointer.
@inline(never)
public func increment(_ elements: UnsafeMutableBufferPointer<Int>) {
    for index in elements.indices { elements[index] &+= 1 }
}
