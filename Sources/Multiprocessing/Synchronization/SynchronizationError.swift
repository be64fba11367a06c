// SPDX-License-Identifier: Apache-2.0

/// A wrong use of a synchronisation primitive; nothing was changed.
public struct SynchronizationError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What was wrong. More may be added.
    public struct Code: Hashable, Sendable, Codable, CustomStringConvertible {
        private enum Value: String, Codable {
            case notOwner
            case deadlock
            case tooManyReleases
            case invalidValue
        }

        private let value: Value

        /// The caller does not hold the lock.
        public static let notOwner = Code(value: .notOwner)
        /// The caller holds the lock already and would have waited for itself for ever.
        public static let deadlock = Code(value: .deadlock)
        /// The semaphore has all its permits already.
        public static let tooManyReleases = Code(value: .tooManyReleases)
        /// A number is out of range.
        public static let invalidValue = Code(value: .invalidValue)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// What was wrong.
    public let code: Code

    /// What was called on what, and what the state was.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message with its code.
    public var description: String { "\(message) (\(code))" }
}
