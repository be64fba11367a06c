// SPDX-License-Identifier: Apache-2.0
//
// Short messages are there twice: as records like all others, and beside the tail, in the cache line that whoever waits for a message watches. A consumer that has taken all but the newest message
// gets that one with the line it has anyway, so that one line moves from processor to processor for each message, not two: as long as two sides answer each other nobody reads the records.
//
//   offset from the tail   size
//                      8      8   mark: bit 63, the length in bits 32–39 and the sequence in bits 0–27 of the message whose bytes follow; 0: none's do
//                     16     40   its bytes
//
// The record is what counts. Each put says whether its message is repeated before the tail is stored, so what a killed producer left is never taken for another message of the same sequence. A consumer
// that reads while the next message comes finds another mark afterwards, and reads the record (a sequence lock, whose sequence is the message's).

internal import CMultiprocessing
internal import Synchronization

extension Ring {
    /// The longest message that is repeated.
    static var longestShort: Int { 40 }

    private static var isRepeated: UInt64 { 1 << 63 }

    private var mark: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + Offset.mark).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func repeated(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + Offset.repeated + 8 * index).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Repeats a message of so many bytes, if it is short; with the producers' lock, before it exists.
    ///
    /// - Parameter source: The bytes in the record, up to a multiple of 8.
    @inline(__always)
    func repeatBesideTail(_ source: UnsafeRawPointer, _ byteCount: Int, sequence: Int) {
        guard byteCount <= Self.longestShort else { return repeatNothingBesideTail() }
        mark.pointee.store(0, ordering: .relaxed)
        // The mark before the bytes; pairs with the acquiring fence in `readBesideTail`.
        atomicMemoryFence(ordering: .releasing)
        var index = 0
        while 8 * index < byteCount {
            // Relaxed, here and there: the mark tells whether they belong together.
            repeated(index).pointee.store(source.load(fromByteOffset: 8 * index, as: UInt64.self), ordering: .relaxed)
            index += 1
        }
        let value = Self.isRepeated | UInt64(truncatingIfNeeded: byteCount << 32 | sequence)
        // Releasing: pairs with the acquiring load in `readBesideTail`.
        mark.pointee.store(value, ordering: .releasing)
    }

    /// Says that the next message is not repeated; with the producers' lock, before it exists.
    @inline(__always)
    func repeatNothingBesideTail() {
        // Relaxed: who sees the message has seen the store of the tail, which comes after this one.
        mark.pointee.store(0, ordering: .relaxed)
    }

    /// Finds the message at `position` beside the tail, if it is the newest one and short; with the consumers' lock, which keeps the copy.
    ///
    /// - Parameter tail: As loaded just now.
    @inline(__always)
    func readBesideTail(_ position: RingPosition, tail: UInt64, _ message: inout FoundMessage) -> Bool {
        // Acquiring: pairs with the release in `repeatBesideTail`.
        let seen = mark.pointee.load(ordering: .acquiring)
        let length = Int(truncatingIfNeeded: seen >> 32 & 0xff)
        let next = position.after(bytes: 8 + length)
        guard seen == Self.isRepeated | UInt64(truncatingIfNeeded: length << 32 | position.sequence),
            length <= Self.longestShort, next.word == tail
        else { return false }
        let target = base + Offset.short
        var index = 0
        while 8 * index < length {
            let word = repeated(index).pointee.load(ordering: .relaxed)
            target.storeBytes(of: word, toByteOffset: 8 * index, as: UInt64.self)
            index += 1
        }
        // The bytes before the mark.
        atomicMemoryFence(ordering: .acquiring)
        guard mark.pointee.load(ordering: .relaxed) == seen else { return false }
        message.bytes = UnsafeRawBufferPointer(start: target, count: length)
        message.next = next
        return true
    }
}
