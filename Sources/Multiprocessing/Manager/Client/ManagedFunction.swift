// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// A function on hosted values, as a client tells it.
enum ManagedFunction: Sendable {
    /// What tells one function from another.
    enum Key: Hashable, Sendable {
        case operation(ObjectIdentifier)
        case closure(PortableMutation.Identity)
    }

    case operation(Any.Type)
    case closure(PortableMutation)

    /// The key; nil for a closure that captures something, which has to be told each time.
    var key: Key? {
        switch self {
        case .operation(let type): .operation(ObjectIdentifier(type))
        case .closure(let function): function.identity.map { .closure($0) }
        }
    }

    /// Writes the function as `reference` says.
    func write(
        _ reference: FunctionNumbers<Key>.Reference,
        into writer: inout WireWriter,
        userInfo: [CodingUserInfoKey: Any]
    ) throws {
        switch reference {
        case .known(let number):
            writer.write(FunctionForm.known.rawValue)
            writer.write(number)
            return
        case .remembered(let number):
            writer.write(FunctionForm.remembered.rawValue)
            writer.write(number)
        case .once:
            writer.write(FunctionForm.once.rawValue)
        }
        switch self {
        case .operation(let type):
            writer.write(FunctionKind.operation.rawValue)
            try PortableType.write(type, into: &writer)
        case .closure(let function):
            writer.write(FunctionKind.closure.rawValue)
            try function.encode(into: &writer, userInfo: userInfo)
        }
    }
}
