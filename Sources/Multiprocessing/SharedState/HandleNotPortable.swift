// SPDX-License-Identifier: Apache-2.0

/// A handle of this package was encoded by, or decoded from, something that cannot carry it.
///
/// A lock, an array in shared memory or a queue is a descriptor of the operating system. It can be sent to a process of this program (captured by a function, passed as an argument,
/// inside another `Codable` value), which then uses the same object, and over a Unix socket to another process of the same user; it means nothing in a file or on another machine.
public struct HandleNotPortable: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The name of the handle's type.
    public let typeName: String

    /// What was tried.
    let detail: String

    /// Creates the error for a handle of `type`.
    package init(_ type: Any.Type, _ detail: String) {
        typeName = "\(type)"
        self.detail = detail
    }

    /// With this key an encoder's `userInfo` says why it carries no handles.
    static let refusalKey = makeRefusalKey()

    private static func makeRefusalKey() -> CodingUserInfoKey {
        guard let key = CodingUserInfoKey(rawValue: "multiprocessing.refusal") else {
            preconditionFailure("any text is a key")
        }
        return key
    }

    /// The type, what was tried and what can be done instead.
    public var description: String {
        "\(typeName) \(detail): it can only be sent to processes of this machine and user, as a capture or argument of a function, "
            + "through a queue or a connection, or inside a value sent that way"
    }
}
