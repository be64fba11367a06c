// SPDX-License-Identifier: Apache-2.0
//
// What a program decides about a child while its server or the child may be in the middle of something else, and what must hold even when the program is killed right after. So
// program, server and children share memory: one byte for each order, at an index (slot) that the program chose for it.
//
//   byte i   0  the child ends with the program (a spare, a daemon)
//            1  it goes on without the program
//            2  it is not wanted any more, and must not begin

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The bytes that a program shares with its fork server and the children of that.
final class OrderPage: @unchecked Sendable {
    /// What is decided about a child.
    enum Fate: UInt8 {
        case endsWithProgram = 0
        case survives = 1
        case unwanted = 2
    }

    /// More children at once are refused.
    static let capacity = 1 << 20

    // `@unchecked` is safe because the pointer never changes, and each byte is read and written as a whole.
    private let bytes: UnsafeMutablePointer<Atomic<UInt8>>

    /// Makes the memory, all zeros; pages that nobody writes take none.
    static func makeMemory() throws(SystemError) -> OwnedDescriptor {
        let memory = try OwnedDescriptor(
            checking: mp_memfd_create("multiprocessing orders"),
            "making the page of orders"
        )
        try memory.lengthen(to: capacity)
        return memory
    }

    /// Maps the memory that `descriptor` stands for.
    init(mapping descriptor: Int32) throws(SystemError) {
        let address = mmap(nil, Self.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw SystemError("mapping the page of orders") }
        // An atomic byte is a byte, and zero is its value 0.
        bytes = address.bindMemory(to: Atomic<UInt8>.self, capacity: Self.capacity)
    }

    deinit {
        munmap(bytes, Self.capacity)
    }

    /// What is decided about the child of a slot.
    subscript(slot: Int) -> Fate {
        // Sequentially consistent, as the store: who gives a child up stores and then looks whether it has begun; a child says that it is there and then loads. One of both sees the other.
        get { Fate(rawValue: bytes[slot].load(ordering: .sequentiallyConsistent)) ?? .unwanted }
        set { bytes[slot].store(newValue.rawValue, ordering: .sequentiallyConsistent) }
    }
}
