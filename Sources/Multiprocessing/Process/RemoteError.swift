// SPDX-License-Identifier: Apache-2.0

/// An error that was thrown in another process and is of a type that is not `Codable`, so that only what it said could be carried.
public struct RemoteError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The name of the error's type, such as "Shop.OutOfStock".
    public let typeName: String
    /// What the error said of itself.
    public let message: String
    /// The process it was thrown in.
    public let processName: String

    /// The type, the message and the process.
    public var description: String { "\(typeName): \(message) (thrown in \(processName))" }
}
