// SPDX-License-Identifier: Apache-2.0
//
// A barrier: a number of parties wait for each other, again and again.
//
//   offset   size
//        0     64   gate: a robust lock for whoever arrives last, aborts, resets, or gives up; held while the action runs
//       64     64   notice: posted while an action runs (DeathNotice.swift)
//      128      4   phase, what sleepers watch: BROKEN (bit 0), SLEEPERS (bit 1), generation (bits 2–31)
//      132      4   arrivals: their number (bits 0–30) in the generations that are odd or even as bit 31 says; of another one: none
//      136      4   number of parties
//      192   2048   bit g % 16384: whether generation g failed; valid for the 16,383 generations before the present one
//
// Phase and arrivals are one 64-bit atomic. Whoever is not the last to arrive changes it by one exchange, and needs no lock: who was just woken would find the one of whoever woke it, and sleep again. The last one takes
// the gate, so that nobody else is the last, nor changes the phase. While somebody may be asleep the phase is changed by the kernel, in one step with the wake (FUTEX_WAKE_OP): whoever
// releases, breaks or resets may be killed before or after, never in between. That step leaves the arrivals of the old generation in place, which count for nothing in the new one.
//
// A party that is killed while it waits has arrived: the others do not wait for it in this generation. One that is killed before it has released the others has not arrived, and another may come in its
// place; but one that runs the action leaves its notice behind, and the kernel wakes a sleeper for it, who breaks the barrier (the action may be half done).

internal import CMultiprocessing
internal import Synchronization

/// A view of a barrier in shared memory; it does not own the memory.
package struct BarrierState: @unchecked Sendable {
    // Safe because phase and arrivals are atomic, the rest is changed with the gate held only, and whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer

    /// The bytes a barrier takes up, which is also its alignment.
    package static let size = 192 + failureWords * 8

    /// How many words of 64 generations are remembered.
    private static let failureWords = 256

    private static let broken: UInt32 = 1
    private static let sleepers: UInt32 = 2

    /// What one generation adds to the phase.
    private static let generation: UInt32 = 4

    /// Creates a view of the barrier at `base`.
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    /// Sets up a new barrier, in memory of zeros.
    package func initialize(parties: UInt32) {
        (base + 136).storeBytes(of: parties, as: UInt32.self)
    }

    /// The lock of whoever changes the phase.
    package var gate: RobustLock { RobustLock(base) }
    private var notice: DeathNotice { DeathNotice(base + 64) }
    private var phase: SharedWord { SharedWord(base, offset: 128) }

    /// The number of parties that pass together.
    package var parties: UInt32 { (base + 136).load(as: UInt32.self) }

    /// Phase and arrivals.
    private var word: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + 128).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Phase and arrivals at a moment. A little-endian pair.
    private struct State {
        var phase: UInt32
        private var arrivals: UInt32

        init(_ word: UInt64) {
            phase = UInt32(truncatingIfNeeded: word)
            arrivals = UInt32(word >> 32)
        }

        var word: UInt64 { UInt64(arrivals) << 32 | UInt64(phase) }
        var isBroken: Bool { phase & BarrierState.broken != 0 }
        var hasSleepers: Bool { phase & BarrierState.sleepers != 0 }
        var generation: UInt32 { phase / BarrierState.generation }

        /// The mark of arrivals in this generation.
        private var mark: UInt32 { (generation % 2) << 31 }

        /// How many have arrived in this generation.
        var count: UInt32 {
            get { arrivals & (1 << 31) == mark ? arrivals & ~(1 << 31) : 0 }
            set { arrivals = mark | newValue }
        }
    }

    /// Phase and arrivals at this moment, with what was done before they were.
    private func load() -> State { State(word.pointee.load(ordering: .acquiring)) }

    /// Replaces phase and arrivals.
    private func replace(_ seen: State, with desired: State) -> Bool {
        // Acquiring and releasing: what each party did before is seen by the last one, and so by all.
        word.pointee.compareExchange(
            expected: seen.word,
            desired: desired.word,
            ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// The word and the bit in it that say whether `generation` failed.
    private func failure(of generation: UInt32) -> (word: UnsafeMutablePointer<Atomic<UInt64>>, bit: UInt64) {
        let word = Int(generation / 64) % Self.failureWords
        return ((base + 192 + word * 8).assumingMemoryBound(to: Atomic<UInt64>.self), 1 << UInt64(generation % 64))
    }

    // MARK: - Questions

    /// Whether the barrier is broken.
    package var isBroken: Bool { load().isBroken }

    /// The number of parties that wait at this moment.
    package var waiting: UInt32 {
        let seen = load()
        return !seen.isBroken && seen.count < parties ? seen.count : 0
    }

    /// How the wait for a generation ended; nil while it has not.
    ///
    /// Other parties may have gone on without this one, if they are more than pass together, for so long that its generation is forgotten; it is taken as failed then.
    private func outcome(of generation: UInt32) -> Bool? {
        let seen = load()
        guard seen.generation == generation else {
            let (word, bit) = failure(of: generation)
            // Acquiring, so that the phase is looked at afterwards: the bit is another generation's before the phase says so.
            let failed = word.pointee.load(ordering: .acquiring) & bit != 0
            let age = (load().generation &- generation) & (UInt32.max / Self.generation)
            return !failed && age < Self.failureWords * 64
        }
        return seen.isBroken ? false : nil
    }

    // MARK: - Changes, with the gate held

    /// Takes the gate, and puts in order what a dead holder of it left.
    ///
    /// - Returns: False when cancelled.
    package func enter(cancellation: WaitCancellation? = nil) -> Bool {
        if gate.acquireIfFree() { return true }
        while true {
            switch try? gate.acquire(cancellation: cancellation) {
            case .acquired?:
                return true
            case .ownerDied?:
                repair()
                return true
            case .cancelled?:
                return false
            case .heldByCaller?:
                fatalError("a barrier's action must not use that barrier")
            case .timedOut?, nil:
                continue
            }
        }
    }

    /// Takes the gate as `enter` does, if nobody holds it.
    package func enterIfFree() -> Bool {
        switch try? gate.acquire(until: .passed) {
        case .acquired?: return true
        case .ownerDied?:
            repair()
            return true
        case .heldByCaller?: fatalError("a barrier's action must not use that barrier")
        case .timedOut?, .cancelled?, nil: return false
        }
    }

    /// Gives the gate up.
    package func leave() {
        _ = gate.release(by: .thread)
    }

    /// Breaks the barrier when a dead holder of the gate has left an action half done.
    private func repair() {
        guard notice.isLeftBehind else { return }
        let seen = load()
        // Otherwise it died before it began, or when all were released.
        if !seen.isBroken, seen.count >= parties { abort() }
        notice.clear()
    }

    /// Ends the present generation, for good or ill, and begins the next.
    private func advance(failed: Bool) {
        let (word, bit) = failure(of: load().generation)
        // Relaxed: written under the gate. Releasing, below: pairs with the load in `outcome`.
        let bits = word.pointee.load(ordering: .relaxed)
        if (bits & bit != 0) != failed { word.pointee.store(bits ^ bit, ordering: .releasing) }
        while true {
            let seen = load()
            // Arrivals in the generation after the next would have the mark of those before this one, of which the kernel's step may have left some.
            var settled = seen
            settled.count = seen.count
            guard settled.word == seen.word || replace(seen, with: settled) else { continue }
            if seen.hasSleepers {
                // Nobody else changes the phase now that the mark is there. The next generation begins without marks.
                phase.addAndWakeAll(Self.generation - seen.phase % Self.generation)
                return
            }
            var next = State(UInt64(seen.phase - seen.phase % Self.generation &+ Self.generation))
            next.count = 0
            if replace(settled, with: next) { return }
        }
    }

    /// Breaks the barrier.
    package func abort() {
        while true {
            let seen = load()
            guard !seen.isBroken else { return }
            if seen.hasSleepers { return phase.setBitsAndWakeAll(Self.broken) }
            var broken = seen
            broken.phase |= Self.broken
            if replace(seen, with: broken) { return }
        }
    }

    /// Makes the barrier as new; those who wait get the error of a broken barrier.
    package func reset() {
        guard waiting > 0 || isBroken else { return }
        advance(failed: true)
    }

    // MARK: - Waiting

    /// How a wait ended.
    package enum Outcome: Hashable, Sendable {
        /// All parties arrived; this one's place in the order of arrival.
        case passed(Int)
        /// The barrier is broken.
        case broken
        /// The deadline passed, which broke the barrier.
        case timedOut
        /// The wait was cancelled, which broke the barrier.
        case cancelled
    }

    /// Waits until all parties have arrived. The last to arrive runs `action` before the others are released. Either all parties have one, or none.
    ///
    /// - Throws: What `action` throws, which breaks the barrier.
    package func wait(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        action: (() throws -> Void)?
    ) throws -> Outcome {
        while true {
            let seen = load()
            if seen.isBroken { return .broken }
            if seen.count + 1 < parties {
                var arrived = seen
                arrived.count = seen.count + 1
                guard replace(seen, with: arrived) else { continue }
                let place = Place(generation: seen.generation, index: Int(seen.count), hasAction: action != nil)
                return sleep(at: place, until: deadline, cancellation: cancellation)
            }
            guard enter(cancellation: cancellation) else { return .cancelled }
            defer { leave() }
            let now = load()
            // Otherwise the generation ended before the gate was free.
            guard !now.isBroken, now.count + 1 == parties else { continue }
            try release(action: action)
            return .passed(Int(parties - 1))
        }
    }

    /// Runs the action and releases everybody; with the gate held, by the last to arrive.
    private func release(action: (() throws -> Void)?) throws {
        guard let action else { return advance(failed: false) }
        notice.post()
        defer { notice.withdraw() }
        while true {
            let seen = load()
            var complete = seen
            complete.count = parties
            if replace(seen, with: complete) { break }
        }
        do {
            try action()
        } catch {
            abort()
            throw error
        }
        advance(failed: false)
    }

    /// A party's place.
    private struct Place {
        let generation: UInt32
        /// In the order of arrival.
        let index: Int
        /// Whether somebody may die while the others wait for an action.
        let hasAction: Bool
    }

    private func sleep(at place: Place, until deadline: Deadline, cancellation: WaitCancellation?) -> Outcome {
        let generation = place.generation
        while true {
            _ = Spinning.wait { phase.load(.relaxed) & ~Self.sleepers != generation * Self.generation }
            let seen = load()
            guard seen.generation == generation, !seen.isBroken else {
                // Not nil any more.
                return outcome(of: generation) == true ? .passed(place.index) : .broken
            }
            var marked = seen
            marked.phase |= Self.sleepers
            guard seen.hasSleepers || replace(seen, with: marked) else { continue }
            let result =
                place.hasAction
                ? waitForNews(while: marked.phase, until: deadline, cancellation: cancellation)
                : phase.wait(while: marked.phase, until: deadline, cancellation: cancellation)
            guard result != .lookAgain else { continue }
            guard enter() else { continue }
            defer { leave() }
            if let passed = outcome(of: generation) { return passed ? .passed(place.index) : .broken }
            abort()
            return result == .cancelled ? .cancelled : .timedOut
        }
    }

    /// Sleeps until the phase is another, or whoever runs the action is dead, which is put in order.
    private func waitForNews(
        while seen: UInt32,
        until deadline: Deadline,
        cancellation: WaitCancellation?
    ) -> FutexWaitResult {
        let seenNotice = notice.word.load()
        var result = FutexWaitResult.lookAgain
        if !notice.isLeftBehind {
            // The kernel tells one of the sleepers of a death, and another one when that one dies before it has told the next.
            mp_robust_pending(mp_this_thread().pointee.robust, notice.word.raw)
            var words = FutexSet(phase, is: seen)
            words.add(notice.word, is: seenNotice)
            result = words.wait(until: deadline, cancellation: cancellation)
        }
        if notice.isLeftBehind { notice.word.wake(1) }
        mp_robust_pending(mp_this_thread().pointee.robust, nil)
        // The mark may also have come after the gate was free: then nobody was told to look for it.
        if notice.isLeftBehind, enter() {
            repair()
            leave()
        }
        return result
    }
}
