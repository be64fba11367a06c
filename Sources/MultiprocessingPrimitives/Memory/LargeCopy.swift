// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// Copies of memory so large that several processors share the work: where the target is fresh, the kernel clears every page before the first byte goes there, which takes longer than the copy itself.
package enum LargeCopy {
    /// Smaller copies take less time than it is worth to have help for.
    package static let smallest = 16 << 20
    /// A thread takes so many bytes at a time. Of pieces much smaller than the caches, `memcpy` leaves every line there, which for memory that nobody reads at once takes twice as long.
    private static let part = 32 << 20
    /// More threads than that wait for the memory.
    private static let mostThreads = 4

    /// Copies `count` bytes; the two places do not overlap.
    package static func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int) {
        guard count >= smallest else { return target.copyMemory(from: source, byteCount: count) }
        let threads = min(mostThreads, Int(mp_affinity_count()))
        let part = max(1 << 20, min(Self.part, count / max(threads, 1) + 1))
        let work = Work(source, target, count, part: part)
        Thread.together(min(threads, (count + part - 1) / part), name: "mp-copy") { work.run() }
    }

    /// A copy that several threads are at.
    ///
    /// `@unchecked Sendable` is safe because each part is copied by the one thread that has taken it, and what comes after waits for them all.
    private final class Work: @unchecked Sendable {
        private let source: UnsafeRawPointer
        private let target: UnsafeMutableRawPointer
        private let count: Int
        private let part: Int
        /// Where the first part begins that nobody has taken.
        private let next = Atomic<Int>(0)

        init(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int, part: Int) {
            self.source = source
            self.target = target
            self.count = count
            self.part = part
        }

        /// Copies parts until all are taken.
        func run() {
            while true {
                // Relaxed: only that no two get the same counts; starting and joining a thread order the bytes.
                let start = next.add(part, ordering: .relaxed).oldValue
                guard start < count else { return }
                memcpy(target + start, source + start, min(part, count - start))
            }
        }
    }
}
