// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// A call of a manager that could not be made, or that asked for what is not there, though the manager lives.
public struct ManagerError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of errors; more may be added.
    public struct Code: Hashable, Sendable, Codable {
        let rawValue: UInt8

        /// The value does not exist any more: the last handle that counted was gone before this one arrived.
        public static let valueGone = Code(rawValue: 0)
        /// The function or its argument could not be rebuilt in the manager.
        public static let notUnderstood = Code(rawValue: 1)
        /// The manager has another build of the program.
        public static let otherBuild = Code(rawValue: 2)
        /// Only possible for a manager on the same machine.
        public static let notLocal = Code(rawValue: 3)
        /// There is no element at the index.
        public static let outOfRange = Code(rawValue: 4)
        /// A name of a namespace stands for a value of another type.
        public static let otherType = Code(rawValue: 5)
        /// Only the process that made the manager can do it.
        public static let notOwner = Code(rawValue: 6)
        /// The request, or its answer, is larger than a message between manager and client may be: 1 GiB over a network. When it is the answer, the call was made.
        public static let tooLarge = Code(rawValue: 7)
        /// The manager is short of memory or descriptors. When it was for the answer, the call was made; the description says which.
        public static let shortage = Code(rawValue: 8)
        /// The call was made by the process that this one was forked from, and its answer goes there.
        public static let otherProcess = Code(rawValue: 9)
    }

    /// The kind of error.
    public let code: Code

    /// What happened, and what to do.
    public let description: String

    /// Creates an error.
    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// Writes the error as the rest of an answer.
    func write(into writer: inout WireWriter) {
        writer.write(code.rawValue)
        writer.writeString(description)
    }

    /// Reads what `write` wrote.
    init(from reader: inout WireReader) throws {
        code = Code(rawValue: try reader.read())
        description = try reader.readString()
    }
}
