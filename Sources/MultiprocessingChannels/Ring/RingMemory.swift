// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The part of a ring file that belongs to one ring, as this process sees it.
///
/// At first only its beginning is mapped. When the ring grows beyond, twice as much is mapped, elsewhere; the earlier mappings stay, since other threads may be using them. They show
/// the same pages and cost nothing but addresses.
final class RingMemory: @unchecked Sendable {
    // Safe because a larger mapping replaces a smaller one in a way that any thread may see at any time (see `largest`).

    /// The bytes that are mapped at first.
    static let firstWindow = 1 << 20

    /// Where the first mapping lies: that of the ring's control words, for good.
    let base: UnsafeMutableRawPointer

    /// The size of the ring's part in bytes.
    let size: Int

    private let file: RingFile
    private let fileOffset: Int

    /// A mapping from the beginning of the ring's part, and the smaller one before it. Never changed.
    private struct Window {
        let address: UnsafeMutableRawPointer
        let size: Int
        let before: UnsafeMutablePointer<Window>?
    }

    /// The largest mapping. Without a lock, because a forked child could find that held by a thread that it does not have.
    private let largest: Atomic<UnsafeMutablePointer<Window>>

    /// Maps the beginning of `range` of `file`.
    init(_ file: RingFile, _ range: Range<Int>) throws(SystemError) {
        self.file = file
        fileOffset = range.lowerBound
        size = range.count
        base = try Self.map(file, fileOffset, Self.firstWindow)
        let window = UnsafeMutablePointer<Window>.allocate(capacity: 1)
        window.initialize(to: Window(address: base, size: Self.firstWindow, before: nil))
        largest = Atomic(window)
    }

    deinit {
        // Relaxed: nobody else is left.
        var next: UnsafeMutablePointer<Window>? = largest.load(ordering: .relaxed)
        while let window = next {
            munmap(window.pointee.address, window.pointee.size)
            next = window.pointee.before
            window.deallocate()
        }
    }

    /// Where the bytes from `offset` on lie, mapped up to `end`, which is at most `size`.
    @inline(__always)
    func address(_ offset: Int, upTo end: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        if end <= Self.firstWindow { return base + offset }
        // Acquiring: pairs with the release in `extend`.
        let window = largest.load(ordering: .acquiring)
        return (end <= window.pointee.size ? window.pointee.address : try extend(to: end)) + offset
    }

    /// Maps enough for `end`, unless another thread is faster, and returns where.
    @inline(never)
    private func extend(to end: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        var before = largest.load(ordering: .acquiring)
        while end > before.pointee.size {
            var wanted = before.pointee.size
            while wanted < end { wanted *= 2 }
            wanted = min(wanted, size)
            let window = UnsafeMutablePointer<Window>.allocate(capacity: 1)
            do {
                let address = try Self.map(file, fileOffset, wanted)
                window.initialize(to: Window(address: address, size: wanted, before: before))
            } catch {
                window.deallocate()
                throw error
            }
            // Releasing: pairs with the acquiring loads, which then see the mapping's fields.
            let result = largest.compareExchange(expected: before, desired: window, ordering: .acquiringAndReleasing)
            guard !result.exchanged else { return window.pointee.address }
            munmap(window.pointee.address, wanted)
            window.deallocate()
            before = result.original
        }
        return before.pointee.address
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
