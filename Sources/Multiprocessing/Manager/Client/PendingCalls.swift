// SPDX-License-Identifier: Apache-2.0
//
// The calls of one process that a manager has not answered, and who reads its answers.
//
// There is no thread for that. A thread that waits for an answer reads, if nobody else does, and hands on what is not its own; when it has its own it passes the reading to another that waits. Where
// only tasks wait, one task reads for all of them (the pump), while answers come in; it does not count as reading while it is suspended. Who sends calls and asks later reads now and then what has come.

/// The calls under way on one channel.
package struct PendingCalls<Waiter> {
    private enum Reader {
        case nobody
        case thread
        case pump
    }

    private struct Entry {
        let number: UInt64
        let waiter: Waiter
        var isTask: Bool
    }

    /// A thread that waits without reading.
    private struct Follower {
        let number: UInt64
        let ticket: UInt64
        let waiter: Waiter
    }

    /// The calls, each in the slot that the low bits of its number tell. A number whose slot is taken is left out; so the table grows with the calls under way, and not with how long one of them takes.
    private var slots: [Entry?] = Array(repeating: nil, count: 16)
    private var lastNumber: UInt64 = 0
    private(set) package var count = 0
    /// The threads that wait without reading, oldest first.
    private var followers: [Follower] = []
    private var lastTicket: UInt64 = 0
    private var taskCount = 0
    private var reader = Reader.nobody
    private var hasPump = false
    private var hasEnded = false

    /// Creates the state of a new channel.
    package init() {}

    /// Whether `end` was called.
    package var isOver: Bool { hasEnded }

    /// Adds a call. Returns its number, and whether the caller has to start the pump; nil when the channel has ended.
    package mutating func add(_ waiter: Waiter, isTask: Bool) -> (number: UInt64, startsPump: Bool)? {
        guard !hasEnded else { return nil }
        if count * 2 >= slots.count { grow() }
        repeat { lastNumber += 1 } while slots[slot(of: lastNumber)] != nil
        slots[slot(of: lastNumber)] = Entry(number: lastNumber, waiter: waiter, isTask: isTask)
        count += 1
        guard isTask else { return (lastNumber, false) }
        taskCount += 1
        return (lastNumber, startsPump())
    }

    private func slot(of number: UInt64) -> Int { Int(truncatingIfNeeded: number) & (slots.count - 1) }

    /// Doubles the table. Calls that have slots of their own in the small one have so in the large one.
    private mutating func grow() {
        let old = slots
        slots = Array(repeating: nil, count: old.count * 2)
        for case let entry? in old { slots[slot(of: entry.number)] = entry }
    }

    /// Whether a call is not answered yet.
    package func isUnderWay(_ number: UInt64) -> Bool { slots[slot(of: number)]?.number == number }

    /// Takes a call that is answered, cancelled, or was not sent after all.
    package mutating func remove(_ number: UInt64) -> Waiter? {
        let slot = slot(of: number)
        guard let entry = slots[slot], entry.number == number else { return nil }
        slots[slot] = nil
        count -= 1
        if entry.isTask {
            taskCount -= 1
        }
        if !followers.isEmpty { followers.removeAll { $0.number == number } }
        return entry.waiter
    }

    // MARK: - Threads

    /// What a thread that waits has to do.
    package enum Waiting {
        /// Read answers, its own among them, and say `resign` then.
        case lead
        /// Wait to be told.
        case follow
        /// Look: the answer is there.
        case answered
    }

    /// A thread has sent its request and waits.
    package mutating func wait(for number: UInt64) -> Waiting {
        guard let entry = slots[slot(of: number)], entry.number == number else { return .answered }
        return wait(for: number, as: entry.waiter).step
    }

    /// A thread waits for a call as `waiter`, perhaps one of several.
    ///
    /// - Returns: What to do; and for one who follows a ticket to leave by.
    package mutating func wait(for number: UInt64, as waiter: Waiter) -> (step: Waiting, ticket: UInt64) {
        guard isUnderWay(number) else { return (.answered, 0) }
        guard reader == .nobody else {
            lastTicket += 1
            followers.append(Follower(number: number, ticket: lastTicket, waiter: waiter))
            return (.follow, lastTicket)
        }
        reader = .thread
        return (.lead, 0)
    }

    /// A thread that follows does not wait any longer. Returns false when it has been chosen to lead, or its answer has come.
    package mutating func leave(_ ticket: UInt64) -> Bool {
        guard let index = followers.firstIndex(where: { $0.ticket == ticket }) else { return false }
        followers.remove(at: index)
        return true
    }

    /// Makes the caller the reader if nobody reads, to look whether something has come. It says `resign` then.
    package mutating func readsNow() -> Bool {
        guard reader == .nobody else { return false }
        reader = .thread
        return true
    }

    /// A task waits from now on for a call that was sent without one. Returns whether the caller has to start the pump.
    package mutating func waitAsTask(for number: UInt64) -> Bool {
        let slot = slot(of: number)
        guard let entry = slots[slot], entry.number == number, !entry.isTask else { return false }
        slots[slot]?.isTask = true
        taskCount += 1
        return startsPump()
    }

    private mutating func startsPump() -> Bool {
        // A thread that reads starts the pump when it stops.
        guard !hasPump, reader != .thread else { return false }
        hasPump = true
        return true
    }

    /// Who goes on reading.
    package enum Succession {
        /// A thread that waits: it has to be told to lead.
        case thread(Waiter)
        /// The pump, which has to be started.
        case startPump
        case nobody
    }

    /// A thread stops to read.
    package mutating func resign() -> Succession {
        if let thread = nextThread() { return .thread(thread) }
        reader = .nobody
        guard taskCount > 0, !hasPump else { return .nobody }
        hasPump = true
        return .startPump
    }

    private mutating func nextThread() -> Waiter? {
        guard !followers.isEmpty else { return nil }
        reader = .thread
        return followers.removeFirst().waiter
    }

    // MARK: - The pump

    /// There may be something to read. Returns whether the pump is to read; if not, it ends, since a thread reads.
    package mutating func pumpBegins() -> Bool {
        guard reader == .nobody else {
            hasPump = false
            return false
        }
        reader = .pump
        return true
    }

    /// What the pump does when there is nothing more to read.
    package enum PumpStep {
        /// Wait for more; meanwhile nobody reads.
        case pause
        /// End; a thread that waits has to be told to lead.
        case handOver(Waiter)
        case end
    }

    /// The pump has read everything there was.
    package mutating func pumpPauses() -> PumpStep {
        if let thread = nextThread() {
            hasPump = false
            return .handOver(thread)
        }
        reader = .nobody
        if taskCount > 0 { return .pause }
        hasPump = false
        return .end
    }

    // MARK: - The end

    /// No more answers will come. Returns all who wait.
    package mutating func end() -> [Waiter] {
        hasEnded = true
        defer {
            slots = [nil]
            count = 0
            followers = []
            taskCount = 0
        }
        return slots.compactMap { $0?.waiter }
    }
}
