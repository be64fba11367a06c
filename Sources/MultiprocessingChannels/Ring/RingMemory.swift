// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The part of a ring file that belongs to one ring, as this process sees it.
///
/// At first only its beginning is mapped. When the ring grows beyond, twice as much is mapped, elsewhere; the earlier mappings stay, since other threads may be using them. They show
/// the same pages and cost nothing but addresses.
final class RingMemory: @unchecked Sendable {
    // Safe because a larger mapping replaces a smaller one in a way that any thread may see at any time (see `window`).

    /// The bytes that are mapped at first.
    static let firstWindow = 1 << 20

    /// Where the first mapping lies: that of the ring's control words, for good.
    let base: UnsafeMutableRawPointer

    /// The size of the ring's part in bytes.
    let size: Int

    private let file: RingFile
    private let fileOffset: Int

    /// The largest mapping. The address is stored before the size and loaded after it, so whoever sees a size sees an address for at least as much.
    private let windowAddress: Atomic<UInt>
    private let windowSize: Atomic<Int>

    /// The mappings besides the first, to be undone at the end.
    private let later = Mutex<[(address: UInt, size: Int)]>([])

    /// Maps the beginning of `range` of `file`.
    init(_ file: RingFile, _ range: Range<Int>) throws(SystemError) {
        self.file = file
        fileOffset = range.lowerBound
        size = range.count
        base = try Self.map(file, fileOffset, Self.firstWindow)
        windowAddress = Atomic(UInt(bitPattern: base))
        windowSize = Atomic(Self.firstWindow)
    }

    deinit {
        for mapping in later.withLock({ $0 }) {
            munmap(UnsafeMutableRawPointer(bitPattern: mapping.address), mapping.size)
        }
        munmap(base, Self.firstWindow)
    }

    /// Where the bytes from `offset` on lie, mapped up to `end`, which is at most `size`.
    @inline(__always)
    func address(_ offset: Int, upTo end: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        // Acquiring: pairs with the release in `extend`.
        if end > windowSize.load(ordering: .acquiring) { try extend(to: end) }
        return window + offset
    }

    private var window: UnsafeMutableRawPointer {
        // Relaxed: at least as new as the size that was loaded before.
        UnsafeMutableRawPointer(bitPattern: windowAddress.load(ordering: .relaxed)).unsafelyUnwrapped
    }

    @inline(never)
    private func extend(to end: Int) throws(SystemError) {
        try later.withLock { later throws(SystemError) in
            var wanted = windowSize.load(ordering: .relaxed)  // written under this lock only
            guard end > wanted else { return }
            while wanted < end { wanted *= 2 }
            wanted = min(wanted, size)
            let address = UInt(bitPattern: try Self.map(file, fileOffset, wanted))
            later.append((address, wanted))
            // Relaxed: the release of the size orders it.
            windowAddress.store(address, ordering: .relaxed)
            windowSize.store(wanted, ordering: .releasing)
        }
    }

    private static func map(_ file: RingFile, _ offset: Int, _ size: Int) throws(SystemError) -> UnsafeMutableRawPointer
    {
        let address = mmap(
            nil,
            size,
            PROT_READ | PROT_WRITE,
            MAP_SHARED | Int32(MAP_NORESERVE),
            file.descriptor,
            offset
        )
        guard let address, address != MAP_FAILED else { throw SystemError("mapping \(size) bytes of a channel") }
        return address
    }

    /// Gives `range` pages.
    func allocate(_ range: Range<Int>) throws(SystemError) {
        try file.allocate(fileOffset + range.lowerBound..<fileOffset + range.upperBound)
    }

    /// Gives the pages in `range` back to the system. Bounds are multiples of a page.
    func free(_ range: Range<Int>) {
        guard !range.isEmpty, let address = try? address(range.lowerBound, upTo: range.upperBound) else { return }
        // In the worst case the pages stay.
        madvise(address, range.count, MADV_REMOVE)
    }
}
