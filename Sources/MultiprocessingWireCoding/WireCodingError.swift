// SPDX-License-Identifier: Apache-2.0

/// What went wrong between a value and its bytes.
///
/// Mistakes in a type's own `Codable` (a key that is missing, a value of another type) are `DecodingError` and `EncodingError`, as with every other coder; this
/// error says that the bytes themselves, or the shape of the value, cannot be carried.
public struct WireCodingError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kind of a mistake. More kinds may be added.
    public struct Code: Hashable, Sendable, Codable, CustomStringConvertible {
        /// The name that `description` shows.
        private let name: String

        /// Creates the kind with the given name.
        private init(_ name: String) { self.name = name }

        /// The message ends before its value does.
        public static let truncated = Code("truncated")
        /// A length in the message is more than its bytes can hold, or a value is too long for the format.
        public static let lengthOutOfRange = Code("lengthOutOfRange")
        /// Bytes that no encoder writes.
        public static let invalidValue = Code("invalidValue")
        /// Values nested deeper than the coder or the thread's stack allows; when encoding, perhaps a cycle of objects.
        public static let tooDeep = Code("tooDeep")
        /// Bytes were left after the value.
        public static let trailingBytes = Code("trailingBytes")
        /// A container or coder was used in a way that `Codable` does not allow.
        public static let invalidUse = Code("invalidUse")

        /// The name of the kind.
        public var description: String { name }
    }

    /// The kind of the mistake.
    public let code: Code

    /// What is wrong, as a part of a sentence.
    public let reason: String

    /// Where in the message's bytes it was found, if the bytes are at fault.
    public let offset: Int?

    /// The keys and indices that lead from the outermost value to the place, such as `orders[3].price`. Empty for the outermost value itself.
    public internal(set) var path: String

    /// Creates an error. `offset` is the place in the message.
    package init(_ code: Code, _ reason: String, at offset: Int? = nil, path: String = "") {
        self.code = code
        self.reason = reason
        self.offset = offset
        self.path = path
    }

    /// What and where, on one line.
    public var description: String {
        var text = "\(code): \(reason)"
        if !path.isEmpty { text += ", in \(path)" }
        if let offset { text += ", at byte \(offset)" }
        return text
    }
}
