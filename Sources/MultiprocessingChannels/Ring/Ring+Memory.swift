// SPDX-License-Identifier: Apache-2.0
//
// The pages of a ring: given when its stream comes to them, given back after a backlog, and avoided where warm ones will be free in a moment.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// How many bytes have pages; with the producers' lock.
    private var committed: Int {
        get { base.load(fromByteOffset: Offset.committed, as: Int.self) }
        set { base.storeBytes(of: newValue, toByteOffset: Offset.committed, as: Int.self) }
    }

    /// Gives the ring pages up to `end`.
    @inline(__always)
    func commit(_ end: Int) throws(SystemError) {
        if end > committed { try grow(to: end) }
    }

    /// Allocates more than is asked for, so that growing by small records costs little.
    @inline(never)
    private func grow(to end: Int) throws(SystemError) {
        let page = MemoryRegion.pageSize
        let before = committed
        let ahead = min(before, 1 << 22)
        let wanted = min((end + ahead + page - 1) / page * page, memory.size)
        do {
            try memory.allocate(before..<wanted)
            committed = wanted
        } catch {
            // Little is left: only what must be.
            let least = (end + page - 1) / page * page
            try memory.allocate(before..<least)
            committed = least
        }
    }

    /// Gives memory back that a backlog of the past needed, when the stream goes back to the front and nothing alive lies behind it.
    func freeMemory(behind tail: RingPosition, head: RingPosition, target: Int) {
        guard target == rules.first, tail.lap == head.lap else { return }
        let page = MemoryRegion.pageSize
        let keep = max(2 * (tail.offset + 1) * RingPosition.unit, 1 << 22)
        let before = committed
        guard before > 2 * keep else { return }
        let kept = (keep + page - 1) / page * page
        // The number first: pages that are there without being counted do no harm.
        committed = kept
        memory.free(kept..<before)
    }

    // MARK: - Warm memory

    /// Whether a record at the tail would not end within the 4 KiB that it begins in.
    @inline(__always)
    func isBeyondPage(_ units: Int, tail: RingPosition) -> Bool {
        let unitsInPage = 4096 / RingPosition.unit
        return tail.offset % unitsInPage + units >= unitsInPage
    }

    /// Whether a record would go beyond the part of the ring that is used again and again, and could go there.
    @inline(__always)
    func isCold(_ placement: RingStateMachine.Placement, _ units: Int, tail: RingPosition) -> Bool {
        guard rules.first + units < rules.soft else { return false }
        return switch placement {
        case .here: tail.offset + units >= rules.soft
        case .elsewhere(let target): target + units >= rules.soft
        case .nowhere: false
        }
    }

    /// Waits for a moment until a record can go where the memory is warm; returns where it goes, and the head seen last. With the producers' lock.
    ///
    /// Fresh pages cost the kernel's zeroing and a fault in every process, far more than the time in which a consumer that is at work takes a few records. One that is not at work is not waited
    /// for: after a wait in vain come ever more records without one.
    @inline(never)
    func awaitWarmMemory(
        _ units: Int,
        _ record: Record,
        tail: RingPosition,
        head: RingPosition,
        found: RingStateMachine.Placement
    ) -> (RingStateMachine.Placement, RingPosition) {
        // Relaxed, here and below: only a producer with the lock changes it, and at worst there is one wait more or less.
        let impatience = impatience.load(ordering: .relaxed)
        if impatience & 0xffff > 0 {
            self.impatience.store(impatience - 1, ordering: .relaxed)
            return (found, head)
        }
        var (placement, head) = (found, head)
        // One record takes as long as its copy; room for several saves looks, each of which costs the consumer a cache line.
        let roomy = max(units, Self.roomyUnits)
        let most = Spinning.allowance() == 0 ? 0 : Self.looksForWarmMemory + units / 64
        var (looks, looksInVain) = (0, 0)
        while looks < most, looksInVain < Self.looksInVain + units / 64 {
            for _ in 0..<8 { mp_pause() }
            looks += 1
            // Acquiring: pairs with the release of the consumer, which has read what is overwritten now.
            let now = self.head.pointee.load(ordering: .acquiring)
            guard now != head.word else {
                looksInVain += 1
                continue
            }
            looksInVain = 0
            head = RingPosition(word: now)
            placement = place(units, record, tail: tail, head: head)
            if !isCold(place(roomy, record, tail: tail, head: head), roomy, tail: tail) { break }
        }
        var isWorthIt = !isCold(placement, units, tail: tail)
        if !isWorthIt {
            // Perhaps the consumer has no processor to run on but this one.
            let isShort = letOthersRun()
            head = RingPosition(word: self.head.pointee.load(ordering: .acquiring))
            placement = place(units, record, tail: tail, head: head)
            isWorthIt = isShort && !isCold(placement, units, tail: tail)
        }
        cachedHead = head.word
        // The number of failures in a row above, how many records are not to wait below.
        let failures = isWorthIt ? 0 : min(impatience >> 16 + 1, 10)
        self.impatience.store(failures << 16 | (isWorthIt ? 0 : 1 << failures), ordering: .relaxed)
        return (placement, head)
    }

    /// Gives the processor to others for a moment, and returns whether it was a short one: not spent on strangers.
    private func letOthersRun() -> Bool {
        let before = mp_now()
        sched_yield()
        return mp_now() - before < Self.longestYield
    }

    /// The most nanoseconds that a consumer takes for what is warm; fresh memory for it would take about as long.
    private static var longestYield: Int64 { 200_000 }

    /// The room that a wait hopes for: an eighth of the warm part.
    private static var roomyUnits: Int { (32 << 10) / RingPosition.unit }
    /// The most looks at the head, of about 0.3 microseconds each, and how many without a change.
    private static var looksForWarmMemory: Int { 200 }
    private static var looksInVain: Int { 12 }
}
