// SPDX-License-Identifier: Apache-2.0

/// A process ended while it held a lock, so that what the lock protects may be half-changed.
///
/// Exactly one acquirer gets this error for each such death. The lock is free again when it is thrown: look at the data and go on, or mend it with `recover`.
public struct OwnerDied: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The process that held the lock; nil when it was killed in the very moment of taking it.
    public let processIdentifier: Int32?

    init(_ processIdentifier: Int32) {
        self.processIdentifier = processIdentifier > 0 ? processIdentifier : nil
    }

    /// Which process, and what to do.
    public var description: String {
        let process = processIdentifier.map { "process \($0)" } ?? "a process"
        return
            "\(process) ended while it held this lock; what the lock protects may be half-changed (check it, or mend it with recover)"
    }
}
