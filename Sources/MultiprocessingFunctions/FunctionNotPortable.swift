// SPDX-License-Identifier: Apache-2.0

/// A function, closure or type that cannot be carried to another process, or a carried one that cannot be rebuilt.
///
/// Thrown in the caller, before anything is started, when a closure captures something that cannot travel; thrown by the receiver when the bytes are corrupt
/// or come from another build of the program.
public struct FunctionNotPortable: Error, Hashable, Sendable, CustomStringConvertible, Codable {
    /// The kinds of reasons; more may be added.
    public struct Code: Hashable, Sendable, Codable {
        private let rawValue: UInt8

        /// A capture is of a type that is not `Codable`, or of a kind that cannot be copied (a variable, a weak reference).
        public static let captureNotCodable = Code(rawValue: 0)
        /// The type of a capture is unknown at run time: the compiler left out its metadata.
        public static let captureTypeUnknown = Code(rawValue: 1)
        /// A type has no name or descriptor that another process could find it by.
        public static let typeNotNameable = Code(rawValue: 2)
        /// The code or the type lies in no image (library or executable) that the other process has.
        public static let imageUnknown = Code(rawValue: 3)
        /// The function was sent by another build of the program.
        public static let otherBuild = Code(rawValue: 4)
        /// The bytes do not describe a function.
        public static let corrupt = Code(rawValue: 5)
        /// A value to be sent could not be encoded.
        public static let valueNotEncodable = Code(rawValue: 6)
    }

    /// The kind of reason.
    public let code: Code

    /// The type that stands in the way, demangled, where there is one.
    public let typeName: String?

    /// What cannot be carried, why, and the cure.
    public let description: String

    /// Creates an error with its kind and sentence.
    package init(_ code: Code, type: String? = nil, _ description: String) {
        self.code = code
        typeName = type
        self.description = description
    }

    /// Returns the error for bytes that describe no function.
    package static func corrupt(_ detail: String) -> FunctionNotPortable {
        FunctionNotPortable(.corrupt, "the bytes do not describe a function: \(detail)")
    }
}
