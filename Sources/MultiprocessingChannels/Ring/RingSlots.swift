// SPDX-License-Identifier: Apache-2.0
//
// Where the bytes of large messages lie: in slots, equal parts of the second half of a ring's range of the file. The record in the ring tells the slot. So neither side holds a lock that
// others wait for while it writes or reads much, and a receiver reads the bytes where they were written. Slots are used again and again, since fresh pages cost far more than the copy. For slot k:
//
//   offset   size
//   1024+128k  64   its lock, held while a message is written into it or read from it
//        + 64   8   how many bytes of it have pages; with the lock
//        + 72   8   0: free; else bit 63, and in bits 0–27 the sequence of the message in it: free again once the head has passed that
//        + 80   8   the bytes of that message
//
// A producer locks a slot that is free, writes, notes the sequence, unlocks it, and makes the record exist. A consumer locks the slot, takes the record, reads, notes that the slot is free, and unlocks it.
// Whoever is killed leaves the lock, which passes on, and a slot that is free: without a note, or with one that the head has passed. There is nothing to repair, and no descriptor to be short of.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The slots of one ring, as this process sees them.
final class RingSlots: @unchecked Sendable {
    // Safe because the words are atomic or changed under a slot's lock, and everything else is constant or atomic.

    /// The fewest bytes for which a slot is used.
    static let threshold = 256 << 10
    /// How many there are.
    private static let count = 16
    /// The most bytes of pages that one slot, and all of them together, keep for the next message.
    private static let keptBytes = 64 << 20
    private static let keptBytesInAll = 128 << 20

    private static let isUsed: UInt64 = 1 << 63

    private let file: RingFile
    private let range: Range<Int>
    private let base: UnsafeMutableRawPointer
    /// The most bytes in a slot; 0: there are none, because files must be small here.
    private let size: Int
    /// The mappings, made at first need.
    private let memories: UnsafeMutablePointer<Atomic<Unmanaged<RingMemory>?>>

    /// Creates the view of the slots in `range` of `file`, of the ring whose control words are at `base`.
    init(_ file: RingFile, _ range: Range<Int>, base: UnsafeMutableRawPointer) {
        self.file = file
        self.range = range
        self.base = base + 1024
        let size = range.count / Self.count / MemoryRegion.pageSize * MemoryRegion.pageSize
        self.size = size >= RingMemory.firstWindow ? size : 0
        memories = .allocate(capacity: Self.count)
        for slot in 0..<Self.count { (memories + slot).initialize(to: Atomic(nil)) }
    }

    deinit {
        for slot in 0..<Self.count {
            // Relaxed: nobody else is left.
            memories[slot].load(ordering: .relaxed)?.release()
        }
        memories.deinitialize(count: Self.count)
        memories.deallocate()
    }

    // MARK: - Fields

    private func lock(_ slot: Int) -> RobustLock { RobustLock(base + 128 * slot) }

    private func word(_ slot: Int, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + 128 * slot + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func note(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word(slot, 72) }
    private func length(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word(slot, 80) }

    /// How many bytes of the slot have pages. Relaxed: changed with the lock; others choose or count by it only.
    private func committed(_ slot: Int) -> Int {
        min(Int(clamping: word(slot, 64).pointee.load(ordering: .relaxed)), size)  // whatever somebody has overwritten
    }
    private func setCommitted(_ slot: Int, _ bytes: Int) {
        word(slot, 64).pointee.store(UInt64(bytes), ordering: .relaxed)
    }

    /// Whether no message that can be taken is in the slot. A consumer that reads in it has its lock.
    private func isFree(_ slot: Int, head: RingPosition) -> Bool {
        // Acquiring: pairs with the releases in `fill` and `free`.
        let note = note(slot).pointee.load(ordering: .acquiring)
        if note == 0 { return true }
        let sequence = Int(note & UInt64(RingPosition.largestCount))
        return (head.sequence - sequence - 1) & RingPosition.largestCount < RingPosition.largestCount / 2
    }

    /// The mapping of a slot.
    private func memory(_ slot: Int) throws(SystemError) -> RingMemory {
        // Acquiring: pairs with the release below.
        if let memory = memories[slot].load(ordering: .acquiring) { return memory.takeUnretainedValue() }
        let start = range.lowerBound + slot * size
        let made = Unmanaged.passRetained(try RingMemory(file, start..<start + size))
        let result = memories[slot].compareExchange(expected: nil, desired: made, ordering: .acquiringAndReleasing)
        guard !result.exchanged, let other = result.original else { return made.takeUnretainedValue() }
        made.release()
        return other.takeUnretainedValue()
    }

    // MARK: - Producers

    /// Locks a free slot for at most `bytes` bytes and returns it with its memory; nil when there is none, or no memory for it.
    func borrow(_ bytes: Int, head: RingPosition) -> (slot: Int, memory: UnsafeMutableRawPointer)? {
        guard bytes <= size else { return nil }
        for _ in 0..<Self.count {
            guard let slot = best(bytes, head: head) else { return nil }
            guard isTaken(try? lock(slot).acquire(until: .passed)) else { continue }
            guard isFree(slot, head: head) else {
                giveBack(slot)
                continue
            }
            note(slot).pointee.store(0, ordering: .releasing)
            if let memory = try? prepare(slot, bytes) { return (slot, memory) }
            giveBack(slot)
            return nil
        }
        return nil
    }

    /// The free slot that fits best: the smallest with pages enough, or else the one with most.
    private func best(_ bytes: Int, head: RingPosition) -> Int? {
        var best: (slot: Int, committed: Int)?
        for slot in 0..<Self.count where !lock(slot).isLocked && isFree(slot, head: head) {
            let committed = committed(slot)
            guard let other = best?.committed else {
                best = (slot, committed)
                continue
            }
            let isBetter = other >= bytes ? committed >= bytes && committed < other : committed > other
            if isBetter { best = (slot, committed) }
        }
        return best?.slot
    }

    /// Gives a slot pages, and returns where it is; with its lock.
    private func prepare(_ slot: Int, _ bytes: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        let memory = try memory(slot)
        let before = committed(slot)
        if bytes > before {
            // Some more, so that messages of about the same size need it once.
            let wanted = min((bytes + min(bytes / 8, 4 << 20) + 0xffff) & ~0xffff, size)
            try memory.allocate(before..<wanted)
            setCommitted(slot, wanted)
        }
        return try memory.address(0, upTo: bytes)
    }

    /// Notes that a message of so many bytes is in the slot, and unlocks it; right before the record exists.
    func handOver(_ slot: Int, _ bytes: Int, sequence: Int) {
        length(slot).pointee.store(UInt64(bytes), ordering: .relaxed)
        note(slot).pointee.store(Self.isUsed | UInt64(sequence), ordering: .releasing)
        giveBack(slot)
    }

    /// Unlocks a slot.
    func giveBack(_ slot: Int) {
        _ = lock(slot).releaseIfHeldByThread()
    }

    private func isTaken(_ outcome: LockOutcome?) -> Bool {
        switch outcome {
        case .acquired, .ownerDied: true
        default: false
        }
    }

    /// How many bytes lie in slots and have not been taken.
    func outstandingBytes(head: RingPosition) -> Int {
        var sum = 0
        for slot in 0..<Self.count where !isFree(slot, head: head) {
            sum += min(Int(clamping: length(slot).pointee.load(ordering: .relaxed)), size)
        }
        return sum
    }

    // MARK: - Consumers

    /// Whether there can be such a message.
    func isPossible(_ slot: Int, _ bytes: Int) -> Bool {
        (0..<Self.count).contains(slot) && bytes >= 0 && bytes <= size
    }

    /// Locks the slot of a message, and returns where its bytes are.
    func open(_ slot: Int, _ bytes: Int) throws(SystemError) -> UnsafeMutableRawPointer {
        // Held by others at most while they find out that it is not free.
        guard isTaken(try lock(slot).acquire()) else { throw Ring.damage }
        do throws(SystemError) {
            return try memory(slot).address(0, upTo: bytes)
        } catch {
            giveBack(slot)
            throw error
        }
    }

    /// Makes a slot free that was read, and unlocks it; gives memory back where much of it has been needed.
    func free(_ slot: Int) {
        let before = committed(slot)
        let total = (0..<Self.count).reduce(0) { $0 + committed($1) }
        let kept = total > Self.keptBytesInAll ? 0 : min(before, Self.keptBytes)
        if kept < before, let memory = try? memory(slot) {
            // The number first: pages that are there without being counted do no harm.
            setCommitted(slot, kept)
            memory.free(kept..<before)
        }
        note(slot).pointee.store(0, ordering: .releasing)
        giveBack(slot)
    }
}
