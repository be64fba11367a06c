// SPDX-License-Identifier: Apache-2.0
//
// What a pool shares with one of its workers, and with nobody else:
//
//   offset   size
//        0      4   "mpwk"
//      128    128   words of the task lane (LaneWriter.swift), towards the worker
//      256    128   words of the result lane, towards the pool
//      512     64   the status line, written by the worker only
//      576     64   the pool's wishes, written by the pool; see below
//     1024     64   for each of 16 segments of the worker: 1 while the pool reads a result in it; 2: the pool could not open it
//     1152     64   for each of 16 segments of the pool: not 0 when the worker could not open it
//     4096  65536   records of the task lane
//    69632  65536   records of the result lane
//
// The status line:
//
//      512      8   the task it is at; 0: none
//      520      8   since when, in nanoseconds of CLOCK_MONOTONIC
//      528      8   the element of the task it is at
//      536      8   tasks it has finished
//      544      8   nanoseconds it has spent in tasks
//      552      8   its resident memory in bytes, when it was last asked for
//      560      8   not 0: it has begun to serve
//      568      8   the task it awaits, which can be asked to cancel itself; 0: none
//
// The pool's wishes:
//
//      576      8   the task that is to cancel itself
//      584      4   changes whenever the thread of the worker that waits for an asynchronous task is to look; that thread sleeps on it
//      592      8   the task of which no further element is to be begun

package import MultiprocessingPrimitives
internal import Synchronization

/// The memory of one worker's channel.
package final class WorkerMemory: Sendable {
    private static let magic: UInt32 = 0x6b77_706d
    private static let laneSize = 65536

    /// The segments that a worker keeps for its results.
    package static let segmentCount = 16

    /// The memory itself.
    package let region: MemoryRegion

    /// Makes the memory for a new worker.
    ///
    /// - Throws: `SystemError` when memory or descriptors are short.
    package init() throws(SystemError) {
        region = try MemoryRegion(size: 4096 + 2 * Self.laneSize, name: "multiprocessing-worker")
        region.base.storeBytes(of: Self.magic, as: UInt32.self)
    }

    /// Opens the memory in the worker.
    package init(adopting descriptor: consuming OwnedDescriptor) throws(SystemError) {
        region = try MemoryRegion(adopting: descriptor, minimumSize: 4096 + 2 * Self.laneSize)
        guard region.base.load(as: UInt32.self) == Self.magic else {
            throw SystemError(code: 22, operation: "opening the memory of a worker")
        }
    }

    /// Where tasks go to the worker.
    package var tasks: Lane {
        Lane(control: region.base + 128, bytes: region.base + 4096, size: Self.laneSize)
    }

    /// Where results come from the worker.
    package var results: Lane {
        Lane(control: region.base + 256, bytes: region.base + 4096 + Self.laneSize, size: Self.laneSize)
    }

    /// A word of the status line.
    package enum StatusWord: Int {
        case task = 512
        case since = 520
        case element = 528
        case finished = 536
        case busy = 544
        case resident = 552
        case serving = 560
        case awaited = 568
        case unwanted = 576
        case halted = 592
    }

    /// Reads a word of the status line.
    package func status(_ word: StatusWord) -> UInt64 {
        // Acquiring: pairs with the release in `setStatus`, so that what was written before is not older.
        pointer(word).pointee.load(ordering: .acquiring)
    }

    /// Writes a word of the status line; the worker only.
    @inline(__always)
    package func setStatus(_ word: StatusWord, _ value: UInt64) {
        pointer(word).pointee.store(value, ordering: .releasing)
    }

    private func pointer(_ word: StatusWord) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (region.base + word.rawValue).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: - Wishes

    /// Where the worker's thread sleeps that waits for an asynchronous task.
    package var attention: SharedWord { SharedWord(region.base, offset: 584) }

    /// Asks the task with that ticket to cancel itself; the pool only.
    package func askToCancel(_ ticket: UInt64) {
        setStatus(.unwanted, ticket)
        attention.add(1)
        attention.wake(.max)
    }

    /// Whether the task with that ticket was asked to cancel itself.
    package func isAskedToCancel(_ ticket: UInt64) -> Bool { status(.unwanted) == ticket }

    /// Asks that no further element of the task with that ticket is begun; the pool only. A look at the status afterwards shows the last one that is.
    package func askToHalt(_ ticket: UInt64) {
        setStatus(.halted, ticket)
        // The wish before the look; pairs with the fence in `isAskedToHalt`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    /// Whether no further element of the task with that ticket is to be begun; after the status tells of the next one.
    package func isAskedToHalt(_ ticket: UInt64) -> Bool {
        // The status before the look; pairs with the fence in `askToHalt`: one of the two sees what the other has written.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return status(.halted) == ticket
    }

    // MARK: - Segments

    /// What the pool does with a segment of the worker.
    private func reading(_ slot: Int) -> SharedWord { SharedWord(region.base, offset: 1024 + 4 * slot) }

    /// Whether the pool still reads a result in the worker's segment `slot`.
    package func isRead(_ slot: Int) -> Bool { reading(slot).load(.acquiring) != 0 }

    /// Notes that the pool could not open the worker's segment `slot`, which is to be made anew.
    package func setUnreadable(_ slot: Int) {
        if slot < Self.segmentCount { reading(slot).store(2) }
    }

    /// Whether the pool could not open the worker's segment `slot`; it is free by this.
    package func takeUnreadable(_ slot: Int) -> Bool { reading(slot).replace(2, with: 0) }

    /// Whether the worker could not open a segment of the pool.
    private func unopened(_ slot: Int) -> SharedWord { SharedWord(region.base, offset: 1152 + 4 * slot) }

    /// Notes that the worker could not open the pool's segment `slot`, which is to be made anew.
    package func setUnopened(_ slot: Int) {
        if slot < Self.segmentCount { unopened(slot).store(1) }
    }

    /// Whether the worker could not open the pool's segment `slot`, asked once.
    package func takeUnopened(_ slot: Int) -> Bool {
        unopened(slot).load(.acquiring) != 0 && unopened(slot).exchange(0) != 0
    }

    /// Notes that the pool is to read a result in segment `slot`, or that it has.
    package func setRead(_ slot: Int, _ isRead: Bool) {
        reading(slot).store(isRead ? 1 : 0)
    }
}
