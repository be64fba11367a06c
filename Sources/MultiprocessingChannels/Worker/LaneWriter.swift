// SPDX-License-Identifier: Apache-2.0
//
// One direction between a pool and one of its workers: a ring of bytes in shared memory with a single writer and a single reader, so that neither needs a lock. The words that the two share:
//
//   offset   size
//        0      8   tail: how many bytes were ever published; written by the writer
//        8      4   not 0: the reader sleeps, or is about to, and wants to be woken
//       64      8   head: how many bytes were ever taken; written by the reader
//       72      4   not 0: the writer sleeps until the reader has taken something
//
// A record lies in one piece and begins with its size in bytes (4 bytes, a multiple of 16) and its kind (1 byte). It exists once the tail is stored; a writer killed before that leaves nothing. Kind 0
// fills the space before the end of the ring where the next record does not fit.
//
// This is the single-producer, single-consumer queue with cached indices of Erik Rigtorp and of the Disruptor before it, over bytes.

internal import CMultiprocessing
package import MultiprocessingPrimitives
internal import Synchronization

/// Where the words and the bytes of a lane are.
package struct Lane {
    /// The bytes of shared words before the ring's own.
    package static let controlSize = 128
    /// What records are aligned to.
    package static let unit = 16
    /// The kind of the record that fills the end of the ring.
    static let filler: UInt8 = 0

    let control: UnsafeMutableRawPointer
    let bytes: UnsafeMutableRawPointer
    let size: Int

    /// The lane whose words are at `control` and whose `size` bytes, a power of two, are at `bytes`.
    package init(control: UnsafeMutableRawPointer, bytes: UnsafeMutableRawPointer, size: Int) {
        precondition(size > 0 && size & (size - 1) == 0, "the size of a lane is a power of two")
        self.control = control
        self.bytes = bytes
        self.size = size
    }

    var tail: UnsafeMutablePointer<Atomic<UInt64>> { control.assumingMemoryBound(to: Atomic<UInt64>.self) }
    var head: UnsafeMutablePointer<Atomic<UInt64>> { (control + 64).assumingMemoryBound(to: Atomic<UInt64>.self) }
    /// Where the reader says that it sleeps.
    package var readerSleeps: SharedWord { SharedWord(control, offset: 8) }

    /// Where the writer says that it sleeps.
    var writerSleeps: SharedWord { SharedWord(control, offset: 72) }

    /// `size` rounded up to what a record takes.
    package static func recordSize(_ size: Int) -> Int { (size + unit - 1) & ~(unit - 1) }
}

/// The writing end of a lane.
package struct LaneWriter {
    /// The lane.
    package let lane: Lane
    /// What was reserved, published or not.
    private var tail: UInt64 = 0
    /// The head as it was seen last.
    private var seenHead: UInt64 = 0

    /// Creates the only writer of a lane that nothing was written to.
    package init(_ lane: Lane) {
        self.lane = lane
    }

    /// The largest record that always finds room once the reader has caught up.
    package var largestRecord: Int { lane.size / 2 }

    /// Whether everything that was published has been taken.
    package var isDrained: Bool {
        // Acquiring: what the reader did before it moved on is seen.
        lane.head.pointee.load(ordering: .acquiring) == tail
    }

    /// Whether the reader has taken something since `reserve` last looked.
    package var hasMoreRoom: Bool {
        // Relaxed: `reserve` looks again.
        lane.head.pointee.load(ordering: .relaxed) != seenHead
    }

    /// How many bytes the reader has given back so far; changes with every record it is done with.
    package var released: UInt64 { lane.head.pointee.load(ordering: .relaxed) }

    /// Whether the reader sleeps, or is about to.
    package var readerIsAsleep: Bool {
        // Relaxed: a guess, for choosing among readers.
        lane.readerSleeps.load(.relaxed) != 0
    }

    /// The place behind the record that was reserved last.
    package var position: UInt64 { tail }

    /// Whether the reader is done with everything before `position`, which may be overwritten then.
    package func isReleased(_ position: UInt64) -> Bool {
        // Acquiring: what the reader did before it moved on is seen.
        lane.head.pointee.load(ordering: .acquiring) >= position
    }

    /// Asks the reader to say when it has nothing left to read (`LaneReader.isAskedForRoom`); look again afterwards whether that is so already.
    package func askForRoom() {
        lane.writerSleeps.exchange(1)
        // The mark before the look at the head; pairs with the fence in `LaneReader.isAskedForRoom`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    /// Makes room for a record of `size` bytes, a multiple of 16, and writes its size and kind; nil when there is none before the reader takes something.
    ///
    /// The rest of the record is the caller's to write before `publish`. Several records can be published at once.
    @inline(__always)
    package mutating func reserve(_ size: Int, kind: UInt8) -> UnsafeMutableRawPointer? {
        let offset = Int(tail) & (lane.size - 1)
        let rest = lane.size - offset
        let needed = size <= rest ? size : rest + size
        if !hasRoom(needed) {
            // Acquiring: pairs with the release in `LaneReader.release`; the reader is done with what is overwritten now.
            seenHead = lane.head.pointee.load(ordering: .acquiring)
            guard hasRoom(needed) else { return nil }
        }
        var record = lane.bytes + offset
        if size > rest {
            record.storeBytes(of: UInt32(rest), as: UInt32.self)
            record.storeBytes(of: Self.word(Lane.filler), toByteOffset: 4, as: UInt32.self)
            record = lane.bytes
        }
        record.storeBytes(of: UInt32(size), as: UInt32.self)
        record.storeBytes(of: Self.word(kind), toByteOffset: 4, as: UInt32.self)
        tail &+= UInt64(needed)
        return record
    }

    /// Whether `needed` bytes have room, as far as is known. A reader that does not keep to the rules (its memory was overwritten) gets nothing more.
    @inline(__always)
    private func hasRoom(_ needed: Int) -> Bool {
        let used = tail &- seenHead
        return used <= UInt64(lane.size) && Int(used) + needed <= lane.size
    }

    private static func word(_ kind: UInt8) -> UInt32 { UInt32(kind) }

    /// Lets the reader see what was reserved; wakes nobody.
    @inline(__always)
    package func publish() {
        // Releasing: pairs with the acquiring load in `LaneReader.next`.
        lane.tail.pointee.store(tail, ordering: .releasing)
    }

    /// Lets the reader see what was reserved, and wakes it if it sleeps.
    @inline(__always)
    package func publishAndWake() {
        publishAndWake(lane.readerSleeps)
    }

    /// Lets the reader see what was reserved, and wakes the one who sleeps on `sleeper`: of several lanes with one reader.
    @inline(__always)
    package func publishAndWake(_ sleeper: SharedWord) {
        publish()
        // The tail before the look at the reader's mark; pairs with the fence where the reader goes to sleep.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if sleeper.load(.relaxed) != 0 { Self.wake(sleeper) }
    }

    @inline(never)
    private static func wake(_ sleeper: SharedWord) {
        // In one step: a worker that is stopped or killed between the two would leave a sleeper whom nobody wakes any more, since its mark is gone.
        sleeper.clearAndWake(1)
    }

    /// Blocks until there may be more room than at the last `reserve`.
    package func sleep() {
        let isFuller = { lane.head.pointee.load(ordering: .relaxed) == seenHead }
        if Spinning.wait(until: { !isFuller() }) { return }
        lane.writerSleeps.exchange(1)
        // The mark before the look at the head; pairs with the fence in `LaneReader.releaseAndWake`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if isFuller() { _ = lane.writerSleeps.wait(while: 1, until: .never) }
        lane.writerSleeps.store(0)
    }
}
