// SPDX-License-Identifier: Apache-2.0

/// A call that does not fit the state a process is in, or a process that could not be started.
public struct ProcessError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of errors; more may be added.
    public struct Code: Hashable, Sendable, Codable {
        private let rawValue: UInt8

        /// The process was started before; a `ChildProcess` runs once.
        public static let alreadyStarted = Code(rawValue: 0)
        /// The process has not been started.
        public static let notStarted = Code(rawValue: 1)
        /// The process is still running.
        public static let stillRunning = Code(rawValue: 2)
        /// `close()` was called.
        public static let closed = Code(rawValue: 3)
        /// The start method cannot do what was asked.
        public static let startMethodUnsupported = Code(rawValue: 4)
        /// The fork server could not be started, or ended before it gave a child.
        public static let serverFailed = Code(rawValue: 5)
        /// The child could not be made.
        public static let startFailed = Code(rawValue: 6)
        /// Not possible for the process this is called on: it is not a child of the current one.
        public static let notAChild = Code(rawValue: 7)
        /// The child sent its result or its error, but this process could not take it, for want of descriptors or memory. What the child did is done.
        public static let outcomeNotReceived = Code(rawValue: 8)
        /// An argument makes no sense.
        public static let invalidArgument = Code(rawValue: 9)
    }

    /// The kind of error.
    public let code: Code

    /// What happened, to which process, and what to do.
    public let description: String

    /// Creates an error.
    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

/// A wait that reached its deadline.
public struct TimeoutError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What was waited for.
    public let operation: String
    /// How long.
    public let timeout: Duration

    /// Creates an error.
    init(operation: String, timeout: Duration) {
        self.operation = operation
        self.timeout = timeout
    }

    /// What was waited for, and how long.
    public var description: String { "\(operation) timed out after \(timeout)" }
}
