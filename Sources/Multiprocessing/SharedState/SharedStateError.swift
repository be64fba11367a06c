// SPDX-License-Identifier: Apache-2.0

/// A request about shared memory that cannot be met.
public struct SharedStateError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What kind of request failed. More may be added.
    public struct Code: Hashable, Sendable, Codable, CustomStringConvertible {
        private enum Value: String, Codable {
            case alreadyExists
            case doesNotExist
            case invalidName
            case invalidSize
            case containsPointer
            case tooLong
            case notAList
        }

        private let value: Value

        /// There is shared memory of that name already.
        public static let alreadyExists = Code(value: .alreadyExists)
        /// There is no shared memory of that name (any more).
        public static let doesNotExist = Code(value: .doesNotExist)
        /// The name is empty, too long, or has a NUL or a slash in it.
        public static let invalidName = Code(value: .invalidName)
        /// The size or count is negative, zero where something is needed, or does not fit an address.
        public static let invalidSize = Code(value: .invalidSize)
        /// The type holds an address, which means something else in another process.
        public static let containsPointer = Code(value: .containsPointer)
        /// The value needs more room than its slot has.
        public static let tooLong = Code(value: .tooLong)
        /// The memory does not hold a list.
        public static let notAList = Code(value: .notAList)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// What kind of request failed.
    public let code: Code

    /// What was asked for, and why it cannot be.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message with its code.
    public var description: String { "\(message) (\(code))" }
}
