// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// The contents of a closure's box while they are being decoded.
///
/// They are laid out in plain memory first and become an object at the end, so that damaged bytes half-way leave nothing behind but values to be destroyed here.
struct BoxContents {
    private let memory: UnsafeMutableRawPointer
    private let size: Int
    private var end: Int
    /// Destroys what was initialised, were it not to become an object.
    private var destroyers: [() -> Void] = []

    /// Allocates room for so many generic arguments and these captures.
    init(bindingCount: Int, captures: [ClosureContext.Capture]) {
        var size = 16 + bindingCount * 8
        for capture in captures { size = Self.aligned(size, to: capture.layout.alignment) + capture.layout.size }
        self.size = size
        memory = .allocate(byteCount: size, alignment: 16)
        end = 16 + bindingCount * 8
    }

    /// Stores a generic argument.
    mutating func storeBinding(_ word: UInt, at index: Int) {
        memory.storeBytes(of: word, toByteOffset: 16 + index * 8, as: UInt.self)
    }

    /// Returns the place of the next capture.
    mutating func place(size: Int, alignment: Int) -> UnsafeMutableRawPointer {
        end = Self.aligned(end, to: alignment)
        defer { end += size }
        return memory + end
    }

    /// Puts a value into a place.
    mutating func initialize<T>(_ place: UnsafeMutableRawPointer, to value: T) {
        let pointer = place.bindMemory(to: T.self, capacity: 1)
        pointer.initialize(to: value)
        destroyers.append { pointer.deinitialize(count: 1) }
    }

    /// Puts the words of nil, or of something else that needs no care, into a place.
    mutating func initializeWords(_ place: UnsafeMutableRawPointer, to words: [UInt]) {
        for (index, word) in words.enumerated() { place.storeBytes(of: word, toByteOffset: 8 * index, as: UInt.self) }
    }

    /// Puts a function into a place, which takes over the reference to its context.
    mutating func initializeFunction(_ place: UnsafeMutableRawPointer, to words: FunctionWords) {
        place.storeBytes(of: words.code, as: UInt.self)
        place.storeBytes(of: words.context, toByteOffset: 8, as: UInt.self)
        destroyers.append { words.release() }
    }

    /// Makes the object, which takes over all values, and returns its address with one reference to it.
    mutating func intoBox(metadata: UnsafeRawPointer) -> UInt {
        // Alignment mask 15, as the compiler's own calls have it; values move bit by bit, as Swift values may.
        guard let allocated = mp_swift_allocObject(metadata, size, 15) else {
            preconditionFailure("the runtime's allocator never fails")
        }
        let object = UnsafeMutableRawPointer(allocated)
        (object + 16).copyMemory(from: memory + 16, byteCount: size - 16)
        destroyers = []
        return UInt(bitPattern: object)
    }

    /// Destroys the values that became no part of an object, and frees the memory. Must be called once.
    mutating func discard() {
        for destroy in destroyers { destroy() }
        memory.deallocate()
    }

    private static func aligned(_ offset: Int, to alignment: Int) -> Int {
        (offset + alignment - 1) / alignment * alignment
    }
}
