// SPDX-License-Identifier: Apache-2.0

/// A call that does not fit the state a queue is in.
public struct QueueError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of errors; more may be added.
    public struct Code: Hashable, Sendable, Codable, CustomStringConvertible {
        private enum Value: String, Codable {
            case closed
            case shutDown
            case tooManyTasksDone
            case invalidCapacity
            case elementTooLarge
        }

        private let value: Value

        /// `close()` was called on this handle.
        public static let closed = Code(value: .closed)
        /// The queue was shut down, and what was in it has been taken.
        public static let shutDown = Code(value: .shutDown)
        /// `taskDone()` was called more often than elements were put.
        public static let tooManyTasksDone = Code(value: .tooManyTasksDone)
        /// A queue cannot have that capacity.
        public static let invalidCapacity = Code(value: .invalidCapacity)
        /// The encoded element is larger than any queue can hold (16 GiB).
        public static let elementTooLarge = Code(value: .elementTooLarge)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The kind of error.
    public let code: Code

    /// What was called, and why it cannot be done.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message with its code.
    public var description: String { "\(message) (\(code))" }
}
