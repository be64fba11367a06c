// SPDX-License-Identifier: Apache-2.0
//
// Which children of a fork server outlive the program. The server must know at the program's sudden end, and only the child is told, with its job. So they share memory, made
// before the first fork and zero at first: one byte for each child, at an index that the server gave it when it was forked.
//
//   byte i   0: child i ends with the program (a spare, a daemon)   1: it goes on

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The bytes that a fork server shares with its children.
struct SurvivorPage: @unchecked Sendable {
    /// More children than that at once are all taken for such that end with the program.
    static let capacity = 1 << 20

    // Safe to share because each byte has one writer, the child it belongs to, and is read as a whole.
    private let bytes: UnsafeMutablePointer<Atomic<UInt8>>

    /// Maps the memory; pages that nobody writes take none.
    init() throws(SystemError) {
        let address = mmap(
            nil,
            Self.capacity,
            PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let address, address != MAP_FAILED else { throw SystemError("mapping the page of survivors") }
        // An atomic byte is a byte, and zero is its value 0.
        bytes = address.bindMemory(to: Atomic<UInt8>.self, capacity: Self.capacity)
    }

    /// Whether child `index` goes on when the program has ended.
    subscript(index: Int) -> Bool {
        // Relaxed: nothing else hangs on it.
        get { index < Self.capacity && bytes[index].load(ordering: .relaxed) == 1 }
        // Relaxed, too.
        nonmutating set { if index < Self.capacity { bytes[index].store(newValue ? 1 : 0, ordering: .relaxed) } }
    }
}
