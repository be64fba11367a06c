// SPDX-License-Identifier: Apache-2.0
//
// The calls of one process that a manager has not answered, and who reads its answers.
//
// There is no thread for that. A thread that waits for an answer reads, if nobody else does, and hands on what is not its own; when it has its own it passes the reading to another that waits. Where
// only tasks wait, one task reads for all of them (the pump), while answers come in; it does not count as reading while it is suspended.

/// The calls under way on one channel.
package struct PendingCalls<Waiter> {
    private enum Reader {
        case nobody
        case thread
        case pump
    }

    private struct Entry {
        let waiter: Waiter
        let isTask: Bool
    }

    private var lastNumber: UInt64 = 0
    private var entries: [UInt64: Entry] = [:]
    /// The threads that wait without reading, oldest first.
    private var followers: [UInt64] = []
    private var taskCount = 0
    private var reader = Reader.nobody
    private var hasPump = false
    private var hasEnded = false

    /// Creates the state of a new channel.
    package init() {}

    /// Whether `end` was called.
    package var isOver: Bool { hasEnded }

    /// The number of calls under way.
    package var count: Int { entries.count }

    /// Adds a call. Returns its number, and whether the caller has to start the pump; nil when the channel has ended.
    package mutating func add(_ waiter: Waiter, isTask: Bool) -> (number: UInt64, startsPump: Bool)? {
        guard !hasEnded else { return nil }
        lastNumber += 1
        entries[lastNumber] = Entry(waiter: waiter, isTask: isTask)
        guard isTask else { return (lastNumber, false) }
        taskCount += 1
        // A thread that reads starts the pump when it stops.
        let startsPump = !hasPump && reader != .thread
        if startsPump { hasPump = true }
        return (lastNumber, startsPump)
    }

    /// Takes a call that is answered, cancelled, or was not sent after all.
    package mutating func remove(_ number: UInt64) -> Waiter? {
        guard let entry = entries.removeValue(forKey: number) else { return nil }
        if entry.isTask {
            taskCount -= 1
        } else if !followers.isEmpty, let index = followers.firstIndex(of: number) {
            followers.remove(at: index)
        }
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
        guard entries[number] != nil else { return .answered }
        guard reader == .nobody else {
            followers.append(number)
            return .follow
        }
        reader = .thread
        return .lead
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
        while !followers.isEmpty {
            guard let entry = entries[followers.removeFirst()] else { continue }
            reader = .thread
            return entry.waiter
        }
        return nil
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
            entries = [:]
            followers = []
            taskCount = 0
        }
        return entries.values.map(\.waiter)
    }
}
