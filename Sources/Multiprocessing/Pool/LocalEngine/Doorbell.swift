// SPDX-License-Identifier: Apache-2.0
//
// One word in memory that a pool shares with all its workers:
//
//   offset   size
//        0      4   not 0: whoever collects the pool's results sleeps, or is about to, and wants to be woken
//
// A worker that is killed between its result and the bell leaves a result without a ring; its death rings.

internal import MultiprocessingPrimitives
internal import Synchronization

/// How workers wake whoever collects their results.
final class Doorbell: Sendable {
    let region: MemoryRegion

    /// Makes a doorbell.
    ///
    /// - Throws: `SystemError` when memory or descriptors are short.
    init() throws(SystemError) {
        region = try MemoryRegion(size: 4096, name: "multiprocessing-doorbell")
    }

    private var word: SharedWord { SharedWord(region.base, offset: 0) }

    /// Whether somebody waits for a ring.
    var isAsleep: Bool { word.load(.relaxed) != 0 }

    /// Blocks until somebody rings, `isOver` holds, or the deadline has come. One thread at a time.
    func wait(until deadline: Deadline, isOver: () -> Bool) {
        if Spinning.wait(until: isOver) { return }
        word.exchange(1)
        // The mark before the look; pairs with the fence in `LaneWriter.publishAndWake`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if !isOver() { _ = word.wait(while: 1, until: deadline) }
        word.store(0)
    }

    /// Wakes the one who waits, also when a worker was killed between taking the mark and the wake.
    func ring() {
        word.exchange(0)
        word.wake(1)
    }
}
