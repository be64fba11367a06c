// SPDX-License-Identifier: Apache-2.0
//
// What a pool shares with one of its workers, and with nobody else:
//
//   offset   size
//        0      4   "mpwk"
//      128    128   words of the task lane (LaneWriter.swift), towards the worker
//      256    128   words of the result lane, towards the pool
//      512     64   the status line, written by the worker only
//     1024     64   for each of 16 segments of the worker: not 0 while the pool reads a result in it
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

    /// Whether the pool still reads a result in the worker's segment `slot`.
    package func isRead(_ slot: Int) -> Bool {
        SharedWord(region.base, offset: 1024 + 4 * slot).load(.acquiring) != 0
    }

    /// Notes that the pool is to read a result in segment `slot`, or that it has.
    package func setRead(_ slot: Int, _ isRead: Bool) {
        SharedWord(region.base, offset: 1024 + 4 * slot).store(isRead ? 1 : 0)
    }
}
