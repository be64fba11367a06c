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
    /// What it said last, such as "Fatal error: Index out of range".
    public let message: String?
    /// Where it crashed, innermost call first.
    public let backtrace: [String]

    /// Which worker ended, how, and its last words.
    public var description: String {
        var text = "the worker \(workerName) (pid \(processIdentifier)) \(status)"
        if let message { text += ": \(message)" }
        for frame in backtrace.prefix(12) { text += "\n    at \(frame)" }
        return text
    }
}
