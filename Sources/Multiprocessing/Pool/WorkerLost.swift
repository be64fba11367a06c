// SPDX-License-Identifier: Apache-2.0

/// A task's worker ended before the task did: it trapped, was killed, ran out of memory, or called `exit`.
///
/// Only the task that the worker was at fails so; what it had not begun is done by others.
public struct WorkerLost: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// How the worker ended.
    public let status: ExitStatus
    /// The worker's process id, which may belong to another process by now.
    public let processIdentifier: Int32
    /// The worker's name.
    public let workerName: String
    /// What it said last, such as "Fatal error: Index out of range"; or why its pool has killed it.
    public let message: String?
    /// Where it crashed, innermost call first.
    public let backtrace: [String]
    /// How many workers the task has cost, this one included; more than one only where it was tried again. Such a task most likely kills every worker.
    public private(set) var count = 1
    /// Which items of a `map`, `starmap` or `mapResults` it was at, counted from 0: a chunk, or the very item where deadlines, retries or outcomes are those of each; nil for a call, and for lazy maps.
    public private(set) var items: Range<Int>?

    /// The same, at those items.
    func at(_ items: Range<Int>?) -> WorkerLost {
        var lost = self
        lost.items = items
        return lost
    }

    /// The same, of the worker that was the last of `count`.
    func counted(_ count: Int) -> WorkerLost {
        var lost = self
        lost.count = count
        return lost
    }

    /// Which worker ended, how, and its last words.
    public var description: String {
        var text = "the worker \(workerName) (pid \(processIdentifier)) \(status)"
        if let items { text += items.count == 1 ? ", at item \(items.lowerBound)" : ", at the items \(items)" }
        if count > 1 { text += ", after \(count - 1) other\(count > 2 ? "s" : "") that had the same task" }
        if let message { text += ": \(message)" }
        for frame in backtrace.prefix(12) { text += "\n    at \(frame)" }
        return text
    }
}
