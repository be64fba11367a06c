// SPDX-License-Identifier: Apache-2.0
//
// Messages from any number of producers to any number of consumers, in processes that may be killed at any instruction.
//
//   offset   size
//        0      4   "mprg"
//        4      4   the most messages; 0: 2^28 - 1
//        8      4   the most units of 16 bytes; 0: no limit (a single message may always be larger)
//       64     64   the producers' lock
//      128      8   tail (`RingPosition`): what lies before it exists
//      136      8   the head as a producer saw it last
//      144      8   how many bytes of the ring have pages
//      152      8   the last ticket for descriptors
//      160     32   start and end of the last four laps, 4 bytes each
//      192      4   WAITING (bit 31): a consumer sleeps on this word
//      196      4   not 0: somebody waits for messages by the bell
//      200      4   SHUT (bit 0): no more puts; CLOSED (bit 1): no more takes either
//      256     64   the consumers' lock
//      320      8   head (`RingPosition`): what lies before it has been taken
//      328      8   the tail as a consumer saw it last
//      384      4   WAITING (bit 31): a producer sleeps on this word
//      388      4   not 0: somebody waits for room by the bell
//      448     64   the lock of the tally (RingTally.swift)
//      512     16   the tally
//      576      4   departures: how many handles were closed
//     4096      …   records, in units of 16 bytes
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

    static let firstUnit = 4096 / RingPosition.unit
    private static let softUnit = firstUnit + (256 << 10) / RingPosition.unit
    private static let magic: UInt32 = 0x6772_706d
    static let waiting: UInt32 = 0x8000_0000
    static let shut: UInt32 = 1
    static let closed: UInt32 = 2

    let memory: RingMemory
    let base: UnsafeMutableRawPointer
    let rules: RingStateMachine

    /// What tells waiting tasks of all processes that something may have changed.
    let bell: Int32
    /// Where descriptors are sent and received, beside the ring in the same order.
    let lane: DescriptorLane

    /// The most messages.
    package let capacity: Int
    /// The most units.
    let limit: Int

    /// The socket whose end of file says that the other side is gone; -1: nothing says so.
    private let peer: Int32
    /// Whether the other side is known to be gone; this process's knowledge.
    private let isAbandonedHere = Atomic<Bool>(false)
    /// The departures at which this process looked at the socket last.
    private let seenDepartures = Atomic<UInt32>(0)

    /// How this process's producers fared that waited for warm memory (`awaitWarmMemory`).
    let impatience = Atomic<Int>(0)

    /// Creates the view of the ring in `range` of `file`.
    ///
    /// - Parameters:
    ///   - bell: An event descriptor that the caller keeps open.
    ///   - lane: Sockets that the caller keeps open.
    ///   - peer: A socket, one of `lane`'s, whose end of file says that the other side is gone; nil where there are no sides.
    ///   - isNew: Whether this process makes it, with `capacity` and `byteLimit`; otherwise it has them already.
    /// - Throws: `SystemError`: EINVAL when there is no ring.
    package init(
        _ file: RingFile,
        _ range: Range<Int>,
        bell: Int32,
        lane: DescriptorLane,
        peer: Int32? = nil,
        isNew: Bool,
        capacity: Int? = nil,
        byteLimit: Int? = nil
    ) throws(SystemError) {
        memory = try RingMemory(file, range)
        base = memory.base
        self.bell = bell
        self.lane = lane
        self.peer = peer ?? -1
        let end = min(range.count / RingPosition.unit, RingPosition.largestOffset)
        rules = RingStateMachine(first: Self.firstUnit, soft: Self.softUnit, end: end)
        if isNew {
            let committed = 4 * MemoryRegion.pageSize
            try memory.allocate(0..<committed)
            base.storeBytes(of: UInt32(capacity ?? 0), toByteOffset: 4, as: UInt32.self)
            let units = byteLimit.map { max(1, $0 / RingPosition.unit) } ?? 0
            base.storeBytes(of: UInt32(clamping: units), toByteOffset: 8, as: UInt32.self)
            base.storeBytes(of: committed, toByteOffset: 144, as: Int.self)
            base.storeBytes(of: UInt32(Self.firstUnit), toByteOffset: 160, as: UInt32.self)
            let origin = RingPosition(offset: Self.firstUnit, lap: 0, sequence: 0).word
            for offset in [128, 136, 320, 328] { base.storeBytes(of: origin, toByteOffset: offset, as: UInt64.self) }
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

    var producers: RobustLock { RobustLock(base + 64) }
    var consumers: RobustLock { RobustLock(base + 256) }
    var tail: UnsafeMutablePointer<Atomic<UInt64>> { (base + 128).assumingMemoryBound(to: Atomic<UInt64>.self) }
    var head: UnsafeMutablePointer<Atomic<UInt64>> { (base + 320).assumingMemoryBound(to: Atomic<UInt64>.self) }

    /// Where a consumer sleeps.
    var items: SharedWord { SharedWord(base, offset: 192) }
    /// Whether tasks wait for messages.
    var itemsBell: SharedWord { SharedWord(base, offset: 196) }
    /// SHUT and CLOSED.
    var state: SharedWord { SharedWord(base, offset: 200) }
    /// Where a producer sleeps.
    var space: SharedWord { SharedWord(base, offset: 384) }
    /// How many handles were closed.
    private var departures: SharedWord { SharedWord(base, offset: 576) }
    /// Whether tasks wait for room.
    var spaceBell: SharedWord { SharedWord(base, offset: 388) }

    // MARK: - Questions

    /// The number of messages at this moment.
    package var count: Int {
        // The head first: it never passes a tail that is loaded later. Acquiring keeps the loads in that order.
        let head = RingPosition(word: head.pointee.load(ordering: .acquiring))
        return RingPosition(word: tail.pointee.load(ordering: .acquiring)).count(since: head)
    }

    /// Whether there is no message at this moment.
    @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// Whether no more messages are accepted.
    package var isShut: Bool { state.load() & Self.shut != 0 }

    /// Whether no more messages are given out.
    package var isClosed: Bool { state.load() & Self.closed != 0 }

    /// Whether the other side is known to be gone.
    @inline(__always)
    package var isAbandoned: Bool {
        // Acquiring: pairs with the release in `abandon`.
        if isAbandonedHere.load(ordering: .acquiring) { return true }
        return departures.load() == seenDepartures.load(ordering: .relaxed) ? false : lookAtPeer()
    }

    /// Asks the kernel whether anybody has the other end of the socket, after some handle was closed.
    private func lookAtPeer() -> Bool {
        seenDepartures.store(departures.load(), ordering: .relaxed)  // at worst a look too many
        guard isPeerGone else { return false }
        isAbandonedHere.store(true, ordering: .releasing)
        return true
    }

    /// Whether nobody has the other end of the socket, asked of the kernel.
    package var isPeerGone: Bool {
        guard peer >= 0 else { return false }
        var entry = pollfd(fd: peer, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
    }

    /// Says to all processes that a handle was closed here, after its socket was.
    package func depart() {
        departures.add(1)
        wakeEverybody()
    }

    /// The largest message in bytes.
    package var largestMessage: Int { rules.largestRecord * RingPosition.unit - 64 }

    // MARK: - Ending

    /// Accepts no more messages, and with `now` gives none out any more; wakes everybody who waits. Messages that are there can still be taken.
    package func shutDown(now: Bool = false) {
        let bits = now ? Self.shut | Self.closed : Self.shut
        while true {
            let seen = state.load()
            if seen & bits == bits || state.replace(seen, with: seen | bits) { break }
        }
        wakeEverybody()
    }

    /// Notes that the other side is gone, and wakes those of this process who wait for it.
    package func abandon() {
        abandonHere()
        wakeEverybody()
    }

    /// Notes that the other side is gone, without waking anybody.
    package func abandonHere() {
        isAbandonedHere.store(true, ordering: .releasing)
    }

    /// Lets everybody look again who waits.
    package func wakeEverybody() {
        for word in [items, space] {
            word.exchange(0)
            word.wake(Int32.max)
        }
        ring()
    }
}

/// How an operation on a ring ended.
package enum RingOutcome: Hashable, Sendable {
    /// The message was put or taken.
    case done
    /// The deadline passed; with one that had passed at the start: there is no room, or no message.
    case timedOut
    /// The wait was cancelled.
    case cancelled
    /// No more messages are accepted; or none will come, and all that came were taken.
    case shut
    /// The other side is gone, and with a take: all it had put was taken.
    case abandoned
    /// The message is larger than any ring can hold.
    case tooLarge
    /// Somebody else of the same side is at it; only where a call does not wait for that.
    case busy
}
