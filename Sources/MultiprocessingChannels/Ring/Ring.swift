// SPDX-License-Identifier: Apache-2.0
//
// Messages from any number of producers to any number of consumers, in processes that may be killed at any instruction.
//
//   offset   size
//        0      4   "mprg"
//        4      4   the most messages; 0: 2^28 - 1
//        8      4   the most units of 16 bytes; 0: no limit (a single message may always be larger)
//       12      4   not 0: large messages may be there that were not taken yet
//      128      8   tail (`RingPosition`): what lies before it exists
//      136     48   the newest message once more, if it is short (Ring+Short.swift)
//      192      4   WAITING (bit 31): a consumer sleeps on this word
//      196      4   not 0: somebody waits for messages by the bell
//      200      4   SHUT (bit 0): no more puts; CLOSED (bit 1): no more takes either; ENDED (bit 2): consumers know that no more comes; BEGUN (bit 3): the other steps follow
//      384      4   WAITING (bit 31): a producer sleeps on this word
//      388      4   not 0: somebody waits for room by the bell
//      392      4   how often descriptors were received, or dropped, beside the ring
//      448     64   the lock of the tally (RingTally.swift)
//      512     16   the tally
//      576      4   departures: how many handles were closed
//      584      8   packets of descriptors with this ticket and lower ones belong to nobody, and are in the way; 0: none
//      640     64   the lock of those who end the ring
//     1024   2048   16 slots for large messages (RingSlots.swift)
//     4096     64   the producers' lock
//     4160      8   the head as a producer saw it last
//     4168      8   how many bytes of the ring have pages
//     4176      8   the last ticket for descriptors
//     4192     32   start and end of the last four laps, 4 bytes each
//     4224      4   thread id of the producer that has stored the tail and is waking the consumer
//     8192     64   the consumers' lock
//     8256      8   head (`RingPosition`): what lies before it has been taken
//     8264      8   the tail as a consumer saw it last
//     8272     40   a short message that a consumer has found
//     8320      4   thread id of the consumer that has stored the head and is waking the producer
//    12288      …   records, in units of 16 bytes
//
// What only one side writes has a page of its own. A processor that fetches cache lines in ascending order, as the words of one side would be, fetches those behind them too, up to the end of the page: with both sides in
// one page each would keep taking the other one's lines away.
//
// A record is a header of 8 bytes (kind in the highest byte, length or target below) and the bytes. One store makes a message exist (tail) or taken (head); whoever is killed before it leaves
// nothing behind but a lock, which passes on by itself. There is nothing to repair.
//
// The one who waits holds the lock of its side meanwhile, so there is at most one sleeper on a word; the others queue for the lock, which the kernel passes on. Whoever stores a position names
// the other side's word as pending around that (robust.h), so that the kernel wakes the sleeper if the store was its last act. Tasks wait without a lock, for a bell (`RingBell`).

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives
internal import Synchronization

/// One direction of a channel, or a whole queue, as this process sees it.
package final class Ring: @unchecked Sendable {
    // Safe because shared words are atomic or changed under a lock in shared memory, and everything else is constant or atomic.

    static let firstUnit = 12288 / RingPosition.unit
    private static let softUnit = firstUnit + (256 << 10) / RingPosition.unit
    private static let magic: UInt32 = 0x6772_706d
    static let waiting: UInt32 = 0x8000_0000
    static let shut: UInt32 = 1
    static let closed: UInt32 = 2
    static let ended: UInt32 = 4
    static let begun: UInt32 = 8

    let memory: RingMemory
    let base: UnsafeMutableRawPointer
    let rules: RingStateMachine

    /// What tells waiting tasks of all processes that something may have changed.
    let bell: Int32
    /// Where descriptors are sent and received, beside the ring in the same order.
    let lane: DescriptorLane
    /// Where large messages go.
    let slots: RingSlots

    /// The most messages.
    package let capacity: Int
    /// The most units.
    let limit: Int

    /// The socket whose end of file says that the other side is gone; -1: nothing says so.
    let peer: Int32
    /// Whether the other side is known to be gone; this process's knowledge.
    let isAbandonedHere = Atomic<Bool>(false)
    /// Ends what waits here for a lock of the ring, once the handle is closed. Others may hold that lock as long as nothing happens.
    let closing = WaitCancellation(isUrgent: false)
    /// The departures at which this process looked at the socket last.
    let seenDepartures = Atomic<UInt32>(0)

    /// What keeps the numbers of `bell`, `lane` and `peer` open: a callback or a thread may be about to use them when the owner of this ring lets go of it, and must not meet a stranger's file.
    private let owners: [any AnyObject & Sendable]

    /// The line that this side stores when it answers: where the tail of the other direction's ring lies. Nil where there is none.
    ///
    /// Whoever waits for an answer has that line too, and lets go of it only when it is asked for, which takes half as long as the message took to come. Asked for when the message has been read, it is here when
    /// the answer is written.
    let answerLine: UnsafeMutableRawPointer?

    /// How long this process's consumers and producers look away before they watch for the other side (`watch`).
    let itemsPace = Atomic<UInt32>(0)
    let spacePace = Atomic<UInt32>(0)

    /// How this process's producers fared that waited for warm memory (`awaitWarmMemory`).
    let impatience = Atomic<Int>(0)

    /// Creates the view of the ring in `range` of `file`.
    ///
    /// - Parameters:
    ///   - bell: An event descriptor.
    ///   - lane: Where descriptors are sent and received.
    ///   - peer: A socket, one of `lane`'s, whose end of file says that the other side is gone; nil where there are no sides.
    ///   - answers: The ring in which this process answers what comes in this one; it has to live as long.
    ///   - owners: What keeps the descriptors of `bell`, `lane` and `peer` open; without it the caller does.
    ///   - isNew: Whether this process makes it, with `capacity` and `byteLimit`; otherwise it has them already.
    /// - Throws: `SystemError`: EINVAL when there is no ring.
    package init(
        _ file: RingFile,
        _ range: Range<Int>,
        bell: Int32,
        lane: DescriptorLane,
        peer: Int32? = nil,
        answers: Ring? = nil,
        owners: [any AnyObject & Sendable] = [],
        isNew: Bool,
        capacity: Int? = nil,
        byteLimit: Int? = nil
    ) throws(SystemError) {
        // The upper half is for large messages.
        let middle = range.lowerBound + range.count / 2
        memory = try RingMemory(file, range.lowerBound..<middle)
        base = memory.base
        slots = RingSlots(file, middle..<range.upperBound, base: base)
        self.bell = bell
        self.lane = lane
        self.peer = peer ?? -1
        answerLine = answers.map { $0.base + Offset.tail }
        self.owners = owners
        let end = min(memory.size / RingPosition.unit, RingPosition.largestOffset)
        rules = RingStateMachine(first: Self.firstUnit, soft: Self.softUnit, end: end)
        if isNew {
            let committed = max(6 * MemoryRegion.pageSize, 1 << 15)
            try memory.allocate(0..<committed)
            base.storeBytes(of: UInt32(capacity ?? 0), toByteOffset: 4, as: UInt32.self)
            let units = byteLimit.map { max(1, $0 / RingPosition.unit) } ?? 0
            base.storeBytes(of: UInt32(clamping: units), toByteOffset: 8, as: UInt32.self)
            base.storeBytes(of: committed, toByteOffset: Offset.committed, as: Int.self)
            base.storeBytes(of: UInt32(Self.firstUnit), toByteOffset: Offset.laps, as: UInt32.self)
            let origin = RingPosition(offset: Self.firstUnit, lap: 0, sequence: 0).word
            for offset in [Offset.tail, Offset.cachedHead, Offset.head, Offset.cachedTail] {
                base.storeBytes(of: origin, toByteOffset: offset, as: UInt64.self)
            }
            base.storeBytes(of: Self.magic, as: UInt32.self)
        }
        guard base.load(as: UInt32.self) == Self.magic else {
            throw SystemError(code: EINVAL, operation: "opening a ring")
        }
        let most = Int(base.load(fromByteOffset: 4, as: UInt32.self))
        self.capacity = most == 0 ? RingPosition.largestCount : most
        let units = Int(base.load(fromByteOffset: 8, as: UInt32.self))
        limit = units == 0 ? .max : units
    }

    // MARK: - Shared words

    var producers: RobustLock { RobustLock(base + Offset.producers) }
    var consumers: RobustLock { RobustLock(base + Offset.consumers) }
    var enders: RobustLock { RobustLock(base + Offset.enders) }
    var tail: UnsafeMutablePointer<Atomic<UInt64>> { (base + Offset.tail).assumingMemoryBound(to: Atomic<UInt64>.self) }
    var head: UnsafeMutablePointer<Atomic<UInt64>> { (base + Offset.head).assumingMemoryBound(to: Atomic<UInt64>.self) }

    /// Where a consumer sleeps.
    var items: SharedWord { SharedWord(base, offset: Offset.items) }
    /// Where a producer sleeps.
    var space: SharedWord { SharedWord(base, offset: Offset.space) }
    /// SHUT, CLOSED, ENDED and BEGUN.
    var state: SharedWord { SharedWord(base, offset: Offset.state) }
    /// How many handles were closed.
    var departures: SharedWord { SharedWord(base, offset: Offset.departures) }

    /// Where the words lie that every message looks at.
    enum Offset {
        static let tail = 128
        /// What message is repeated beside the tail, and its bytes.
        static let mark = 136
        static let repeated = 144
        static let items = 192
        /// Whether tasks wait for messages.
        static let itemsBell = 196
        static let state = 200
        static let space = 384
        /// Whether tasks wait for room.
        static let spaceBell = 388
        /// How often descriptors were received.
        static let receipts = 392
        static let joiners = 520
        static let joinersBell = 524
        static let departures = 576
        /// The ticket of the last descriptors that are in the way.
        static let leftovers = 584
        static let enders = 640

        // What only producers write.
        static let producers = 4096
        static let cachedHead = 4160
        static let committed = 4168
        static let ticket = 4176
        static let laps = 4192
        /// Which producer has stored, and wakes.
        static let wakingProducer = 4224

        // What only consumers write.
        static let consumers = 8192
        static let head = 8256
        static let cachedTail = 8264
        /// Where a short message is copied to.
        static let short = 8272
        /// Which consumer has stored, and wakes.
        static let wakingConsumer = 8320
    }

    /// The word at `offset`, for looks that are compiled in place: calls of another module's `SharedWord` are not.
    @inline(__always)
    func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
}
