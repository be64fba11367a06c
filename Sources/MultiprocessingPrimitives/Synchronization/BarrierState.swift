// SPDX-License-Identifier: Apache-2.0
//
// A barrier: a number of parties wait for each other, again and again.
//
//   offset   size
//        0     64   gate: a robust lock around every change; held while the action runs
//       64     64   notice: posted by whoever is about to release, break or reset (DeathNotice.swift)
//      128      4   phase, what sleepers watch: BROKEN (bit 0), generation (bits 1–31)
//      132      4   number of parties
//      136      8   arrivals: their number (bits 0–31) in the generation in bits 32–63; of another generation: none
//      192   2048   bit g % 16384: whether generation g failed; valid for the 16,383 generations before the present one
//
// Releasing a generation is one store to `phase`: arrivals of an old generation count for nothing, so there is nothing to reset and no state between "waiting" and "released". A party
// that is killed while it waits has arrived: the others do not wait for it in this generation. One that is killed while it releases the others, or runs the action, leaves its notice
// behind; the kernel wakes a sleeper for it, who breaks the barrier (the action may be half done) and wakes the rest.

internal import Synchronization

/// A view of a barrier in shared memory; it does not own the memory.
package struct BarrierState: @unchecked Sendable {
    // Safe because the phase is atomic, the rest is changed with the gate held only, and whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer

    /// The bytes a barrier takes up, which is also its alignment.
    package static let size = 192 + failureWords * 8

    /// How many words of 64 generations are remembered.
    private static let failureWords = 256

    private static let broken: UInt32 = 1

    /// Creates a view of the barrier at `base`.
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    /// Sets up a new barrier, in memory of zeros.
    package func initialize(parties: UInt32) {
        (base + 132).storeBytes(of: parties, as: UInt32.self)
    }

    /// The lock around every change.
    package var gate: RobustLock { RobustLock(base) }
    private var notice: DeathNotice { DeathNotice(base + 64) }
    private var phase: SharedWord { SharedWord(base, offset: 128) }

    /// The number of parties that pass together.
    package var parties: UInt32 { (base + 132).load(as: UInt32.self) }

    private var arrivals: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + 136).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The word and the bit in it that say whether `generation` failed.
    private func failure(of generation: UInt32) -> (word: UnsafeMutablePointer<Atomic<UInt64>>, bit: UInt64) {
        let word = Int(generation / 64) % Self.failureWords
        return ((base + 192 + word * 8).assumingMemoryBound(to: Atomic<UInt64>.self), 1 << UInt64(generation % 64))
    }

    // MARK: - Questions

    /// Whether the barrier is broken.
    package var isBroken: Bool { phase.load() & Self.broken != 0 }

    /// The number of parties that wait at this moment.
    package var waiting: UInt32 {
        let phase = phase.load()
        // Relaxed: a snapshot.
        let seen = arrivals.pointee.load(ordering: .relaxed)
        let count = UInt32(truncatingIfNeeded: seen)
        return phase & Self.broken == 0 && UInt32(seen >> 32) == phase >> 1 && count < parties ? count : 0
    }

    /// How the wait for a generation ended; nil while it has not.
    ///
    /// Other parties may have gone on without this one, if they are more than pass together, for so long that its generation is forgotten; it is taken as failed then.
    private func outcome(of generation: UInt32) -> Bool? {
        let seen = phase.load()
        guard seen >> 1 == generation else {
            let (word, bit) = failure(of: generation)
            // Acquiring, so that the phase is looked at afterwards: the bit is another generation's before the phase says so.
            let failed = word.pointee.load(ordering: .acquiring) & bit != 0
            let age = (phase.load() >> 1 &- generation) & UInt32.max >> 1
            return !failed && age < Self.failureWords * 64
        }
        return seen & Self.broken != 0 ? false : nil
    }

    // MARK: - Changes, with the gate held

    /// Takes the gate, and puts in order what a dead holder of it left.
    ///
    /// - Returns: False when cancelled.
    package func enter(cancellation: WaitCancellation? = nil) -> Bool {
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

    private func repair() {
        guard notice.isLeftBehind else { return }
        let seen = arrivals.pointee.load(ordering: .relaxed)
        let phaseNow = phase.load()
        let wasComplete = UInt32(seen >> 32) == phaseNow >> 1 && UInt32(truncatingIfNeeded: seen) >= parties
        if wasComplete { phase.store(phaseNow | Self.broken) }
        // It may have died just before its wake.
        phase.wake(Int32.max)
        notice.clear()
    }

    /// Changes the phase and wakes everybody; with the notice posted, in case of a kill in between.
    private func setPhase(_ value: UInt32) {
        phase.exchange(value)
        phase.wake(Int32.max)
    }

    /// Sees to it that the others are woken, too, when this thread was woken in place of all because whoever was to do it died.
    private func passOnWakeUp() {
        guard notice.isLeftBehind, enter() else { return }
        leave()
    }

    /// Ends the present generation, for good or ill, and begins the next; with the notice posted.
    private func advance(failed: Bool) {
        let generation = phase.load() >> 1
        let (word, bit) = failure(of: generation)
        // Relaxed: written under the gate. Releasing, below: pairs with the load in `outcome`.
        let seen = word.pointee.load(ordering: .relaxed)
        word.pointee.store(failed ? seen | bit : seen & ~bit, ordering: .releasing)
        setPhase((generation &+ 1) << 1)
    }

    /// Breaks the barrier.
    package func abort() {
        notice.post()
        setPhase(phase.load() | Self.broken)
        notice.withdraw()
    }

    /// Makes the barrier as new; those who wait get the error of a broken barrier.
    package func reset() {
        guard waiting > 0 || isBroken else { return }
        notice.post()
        advance(failed: true)
        notice.withdraw()
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

    /// Waits until all parties have arrived. The last to arrive runs `action` before the others are released.
    ///
    /// - Throws: What `action` throws, which breaks the barrier.
    package func wait(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        action: (() throws -> Void)?
    ) throws -> Outcome {
        guard enter(cancellation: cancellation) else { return .cancelled }
        let phaseNow = phase.load()
        guard phaseNow & Self.broken == 0 else {
            leave()
            return .broken
        }
        let generation = phaseNow >> 1
        // Relaxed: under the gate.
        let seen = arrivals.pointee.load(ordering: .relaxed)
        let index = UInt32(seen >> 32) == generation ? UInt32(truncatingIfNeeded: seen) : 0
        let isLast = index + 1 == parties
        if isLast { notice.post() }
        arrivals.pointee.store(UInt64(generation) << 32 | UInt64(index + 1), ordering: .relaxed)
        guard isLast else {
            leave()
            return sleep(in: generation, index: Int(index), until: deadline, cancellation: cancellation)
        }
        try release(action: action)
        return .passed(Int(index))
    }

    /// Runs the action and releases everybody; with the gate held and the notice posted, which are given up.
    private func release(action: (() throws -> Void)?) throws {
        defer {
            notice.withdraw()
            leave()
        }
        do {
            try action?()
        } catch {
            setPhase(phase.load() | Self.broken)
            throw error
        }
        advance(failed: false)
    }

    private func sleep(
        in generation: UInt32,
        index: Int,
        until deadline: Deadline,
        cancellation: WaitCancellation?
    ) -> Outcome {
        while true {
            _ = Spinning.wait { phase.load(.relaxed) != generation << 1 }
            if let passed = outcome(of: generation) {
                passOnWakeUp()
                return passed ? .passed(index) : .broken
            }
            let seenNotice = notice.word.load()
            if notice.isLeftBehind {
                // Whoever takes the gate now learns of the death, and puts things in order.
                if enter() { leave() }
                continue
            }
            let result = phase.wait(
                while: generation << 1,
                and: notice.word,
                is: seenNotice,
                until: deadline,
                cancellation: cancellation
            )
            guard result != .lookAgain else { continue }
            guard enter() else { continue }
            defer { leave() }
            if let passed = outcome(of: generation) { return passed ? .passed(index) : .broken }
            abort()
            return result == .cancelled ? .cancelled : .timedOut
        }
    }
}
