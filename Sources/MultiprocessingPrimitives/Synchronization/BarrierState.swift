// SPDX-License-Identifier: Apache-2.0
//
// A barrier: a number of parties wait for each other, again and again.
//
//   offset   size
//        0     64   gate: a robust lock around every change; held while the action runs
//       64     64   notice of even generations: posted by whoever is about to release, break or reset one (DeathNotice.swift)
//      128      4   phase, what sleepers watch: BROKEN (bit 0), generation (bits 1–31)
//      132      4   number of parties
//      136      8   arrivals: their number (bits 0–31) in the generation in bits 32–63; of another generation: none
//      192     64   notice of odd generations
//      256   2048   bit g % 16384: whether generation g failed; valid for the 16,383 generations before the present one
//
// Releasing a generation is one store to `phase`: arrivals of an old generation count for nothing, so there is nothing to reset and no state between "waiting" and "released". A party
// that is killed while it waits has arrived: the others do not wait for it in this generation. One that is killed while it releases the others, or runs the action, leaves its notice
// behind; the kernel wakes a sleeper for it, who breaks the barrier unless the generation had ended (the action may be half done) and wakes the rest.
//
// The others are woken after the gate is given up: where they run at once, in place of who woke them, they would find it closed at their next arrival, and go to sleep again for that. The notice is withdrawn
// after that; meanwhile the next generation may be complete, which is why there are two. Only where more use the barrier than pass together, or break it, can the one after that come as early; it waits.

internal import Synchronization

/// A view of a barrier in shared memory; it does not own the memory.
package struct BarrierState: @unchecked Sendable {
    // Safe because the phase is atomic, the rest is changed with the gate held only, and whoever makes the view keeps the memory mapped.
    private let base: UnsafeMutableRawPointer

    /// The bytes a barrier takes up, which is also its alignment.
    package static let size = 256 + failureWords * 8

    /// How many words of 64 generations are remembered.
    private static let failureWords = 256

    private static let broken: UInt32 = 1

    /// How long to wait before the next look at a notice that somebody else has posted.
    private static let patience = Duration.microseconds(100)

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
    private var phase: SharedWord { SharedWord(base, offset: 128) }

    /// The number of parties that pass together.
    package var parties: UInt32 { (base + 132).load(as: UInt32.self) }

    private var arrivals: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + 136).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// What is posted by whoever is about to end `generation`.
    private func notice(of generation: UInt32) -> DeathNotice {
        DeathNotice(base + (generation & 1 == 0 ? 64 : 192))
    }

    /// The word and the bit in it that say whether `generation` failed.
    private func failure(of generation: UInt32) -> (word: UnsafeMutablePointer<Atomic<UInt64>>, bit: UInt64) {
        let word = Int(generation / 64) % Self.failureWords
        return ((base + 256 + word * 8).assumingMemoryBound(to: Atomic<UInt64>.self), 1 << UInt64(generation % 64))
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
            case .acquired?, .ownerDied?:
                // Who died may have given the gate up before, and not have woken the others yet.
                for parity: UInt32 in 0...1 where notice(of: parity).isLeftBehind { repair(notice(of: parity)) }
                return true
            case .cancelled?:
                return false
            case .heldByCaller?:
                preconditionFailure("a barrier's action must not use that barrier")
            case .timedOut?, nil:
                continue
            }
        }
    }

    /// Gives the gate up.
    package func leave() {
        _ = gate.release(by: .thread)
    }

    /// Ends what was begun by a thread that died and left `notice` behind.
    private func repair(_ notice: DeathNotice) {
        let seen = arrivals.pointee.load(ordering: .relaxed)
        let phaseNow = phase.load()
        let wasComplete = UInt32(seen >> 32) == phaseNow >> 1 && UInt32(truncatingIfNeeded: seen) >= parties
        if wasComplete { phase.store(phaseNow | Self.broken) }
        // It may have died just before its wake.
        phase.wake(Int32.max)
        notice.clear()
    }

    /// Sees to it that the others are woken, too, when this thread was woken in place of all because whoever was to do it died.
    private func passOnWakeUp(in generation: UInt32) {
        guard notice(of: generation).isLeftBehind, enter() else { return }
        leave()
    }

    /// Posts the notice of the present generation, with the gate held, which may be given up and taken again meanwhile.
    ///
    /// - Returns: False when the phase has changed in that time; then nothing is posted.
    private func postNotice() -> Bool {
        let seen = phase.load()
        let notice = self.notice(of: seen >> 1)
        while case let posted = notice.word.load(), posted != 0 {
            // By a thread that has yet to wake those of two generations ago, which is a matter of its getting a processor. To withdraw wakes nobody.
            leave()
            _ = notice.word.wait(while: posted, until: Deadline(timeout: Self.patience))
            guard enter() else { continue }
            if phase.load() != seen { return false }
        }
        notice.post()
        return true
    }

    /// Ends a change with the notice of `generation` posted and the gate held: gives the gate up, and wakes everybody.
    private func finish(_ generation: UInt32) {
        leave()
        phase.wake(Int32.max)
        notice(of: generation).withdraw()
    }

    /// Ends the present generation, for good or ill, and begins the next; with the notice posted. Nobody is woken yet.
    private func advance(failed: Bool) {
        let generation = phase.load() >> 1
        let (word, bit) = failure(of: generation)
        // Relaxed: written under the gate. Releasing, below: pairs with the load in `outcome`.
        let seen = word.pointee.load(ordering: .relaxed)
        word.pointee.store(failed ? seen | bit : seen & ~bit, ordering: .releasing)
        phase.exchange((generation &+ 1) << 1)
    }

    /// Breaks the barrier, and gives the gate up.
    package func abort() {
        while !postNotice() {}
        let phaseNow = phase.load()
        phase.exchange(phaseNow | Self.broken)
        finish(phaseNow >> 1)
    }

    /// Makes the barrier as new, and gives the gate up; those who wait get the error of a broken barrier.
    package func reset() {
        repeat {
            guard waiting > 0 || isBroken else { return leave() }
        } while !postNotice()
        let generation = phase.load() >> 1
        advance(failed: true)
        finish(generation)
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
        while true {
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
            // Not the last any more if others went on meanwhile.
            if isLast, !postNotice() { continue }
            arrivals.pointee.store(UInt64(generation) << 32 | UInt64(index + 1), ordering: .relaxed)
            guard isLast else {
                leave()
                return sleep(in: generation, index: Int(index), until: deadline, cancellation: cancellation)
            }
            try release(generation, action: action)
            return .passed(Int(index))
        }
    }

    /// Runs the action and releases everybody; with the gate held and the notice posted, which are given up.
    private func release(_ generation: UInt32, action: (() throws -> Void)?) throws {
        do {
            try action?()
        } catch {
            phase.exchange(phase.load() | Self.broken)
            finish(generation)
            throw error
        }
        advance(failed: false)
        finish(generation)
    }

    private func sleep(
        in generation: UInt32,
        index: Int,
        until deadline: Deadline,
        cancellation: WaitCancellation?
    ) -> Outcome {
        let notice = self.notice(of: generation)
        while true {
            _ = Spinning.wait { phase.load(.relaxed) != generation << 1 }
            if let passed = outcome(of: generation) {
                passOnWakeUp(in: generation)
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
            if let passed = outcome(of: generation) {
                leave()
                return passed ? .passed(index) : .broken
            }
            abort()
            return result == .cancelled ? .cancelled : .timedOut
        }
    }
}
