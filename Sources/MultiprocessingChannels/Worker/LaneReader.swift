// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// The reading end of a lane.
package struct LaneReader {
    /// A record, as it lies in the lane until it is released.
    package struct Record {
        /// Where it begins; its size and kind come first.
        package let start: UnsafeMutableRawPointer
        /// Its size in bytes, read once: the writer could have changed its mind.
        package let size: Int
        /// What it is.
        package let kind: UInt8
    }

    /// The lane.
    package let lane: Lane
    /// What was passed by `advance`, released or not.
    private var head: UInt64 = 0
    /// The tail as it was seen last.
    private var seenTail: UInt64 = 0
    /// Whether a record made no sense: a writer whose memory was overwritten. Nothing more is read then.
    package private(set) var isCorrupt = false

    /// Creates the only reader of a lane that nothing was read from.
    package init(_ lane: Lane) {
        self.lane = lane
    }

    /// Whether there is no record at this moment.
    @inline(__always)
    package var isEmpty: Bool {
        // Relaxed: `next` looks again, acquiring.
        head == seenTail && lane.tail.pointee.load(ordering: .relaxed) == head
    }

    /// Returns the next record, without waiting.
    @inline(__always)
    package mutating func next() -> Record? {
        while true {
            if head == seenTail {
                // Acquiring: pairs with the release in `LaneWriter.publish`; the record's bytes are there.
                seenTail = lane.tail.pointee.load(ordering: .acquiring)
                if head == seenTail { return nil }
            }
            let offset = Int(head) & (lane.size - 1)
            let start = lane.bytes + offset
            let size = Int(start.load(as: UInt32.self))
            let isWhole = size >= Lane.unit && size & (Lane.unit - 1) == 0 && size <= lane.size - offset
            guard !isCorrupt, isWhole, UInt64(size) <= seenTail &- head, seenTail &- head <= UInt64(lane.size) else {
                isCorrupt = true
                return nil
            }
            let kind = start.load(fromByteOffset: 4, as: UInt8.self)
            if kind != Lane.filler { return Record(start: start, size: size, kind: kind) }
            head &+= UInt64(size)
        }
    }

    /// Goes on behind `record`, whose bytes stay as they are until `release`.
    @inline(__always)
    package mutating func advance(over record: Record) {
        head &+= UInt64(record.size)
    }

    /// Gives the bytes of the records that were passed back to the writer.
    @inline(__always)
    package func release() {
        // Releasing: pairs with the acquiring load in `LaneWriter.reserve`.
        lane.head.pointee.store(head, ordering: .releasing)
    }

    /// Gives the bytes back, and wakes a writer that waits for room.
    package func releaseAndWake() {
        release()
        // The head before the look at the writer's mark; pairs with the fence in `LaneWriter.sleep`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard lane.writerSleeps.load(.relaxed) != 0 else { return }
        lane.writerSleeps.clearAndWake(1)
    }

    /// Whether the writer has asked to be told when there is nothing left to read; the question is answered by that. After `release`.
    package func isAskedForRoom() -> Bool {
        // The head before the look at the mark; pairs with the fence in `LaneWriter.askForRoom`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard lane.writerSleeps.load(.relaxed) != 0 else { return false }
        return lane.writerSleeps.exchange(0) != 0
    }

    /// Blocks until there may be a record, watching for a moment first.
    package func sleep() {
        if Spinning.wait(until: { !isEmpty }) { return }
        lane.readerSleeps.exchange(1)
        // The mark before the look at the tail; pairs with the fence in `LaneWriter.publishAndWake`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if isEmpty { _ = lane.readerSleeps.wait(while: 1, until: .never) }
        lane.readerSleeps.store(0)
    }
}
