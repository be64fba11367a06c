// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding
internal import Synchronization

/// The functions of a pool by what they are encoded to, so that a repeated one crosses once to each worker.
final class FunctionTable: Sendable {
    /// More than so many are forgotten together, and numbered anew.
    private static let mostFunctions = 512

    private struct State {
        var functions: [Key: TaskFunction] = [:]
        /// Those that capture nothing and have no context.
        var plain: [PlainKey: TaskFunction] = [:]
        var lastNumber: UInt32 = 0
    }

    private struct PlainKey: Hashable {
        let isMapping: Bool
        let identity: FunctionIdentity
    }

    private struct Key: Hashable {
        let isMapping: Bool
        let bytes: [UInt8]
    }

    private let state = Mutex(State())

    /// Encodes a function, with a context if it is called with one.
    ///
    /// - Throws: `FunctionNotPortable`, and what encoding captures and context throws.
    func function(
        _ portable: PortableFunction,
        isMapping: Bool,
        context: ((inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void)? = nil
    ) throws -> TaskFunction {
        let plainKey =
            context == nil ? portable.identity.map { PlainKey(isMapping: isMapping, identity: $0) } : nil
        if let plainKey, let known = state.withLock({ $0.plain[plainKey] }) { return known }
        let carried = CarriedDescriptors()
        let userInfo: [CodingUserInfoKey: Any] = [CarriedDescriptors.userInfoKey: carried]
        var writer = WireWriter(capacity: 512)
        try portable.encode(into: &writer, userInfo: userInfo)
        try context?(&writer, userInfo)
        let bytes = writer.withUnsafeBytes { Array($0) }
        let box = SendableBox(carried)
        return state.withLock { state in
            // The same bytes with other descriptors are another function.
            let isUnique = !box.value.numbers.isEmpty || bytes.count > 1 << 16
            let key = Key(isMapping: isMapping, bytes: isUnique ? [] : bytes)
            if !isUnique, let known = state.functions[key] {
                if let plainKey { state.plain[plainKey] = known }
                return known
            }
            state.lastNumber &+= 1
            let made = TaskFunction(number: state.lastNumber, isMapping: isMapping, bytes: bytes, box.value)
            if !isUnique {
                if state.functions.count >= Self.mostFunctions { state.functions = [:] }
                state.functions[key] = made
                // Bounded by the functions that a program has.
                if let plainKey { state.plain[plainKey] = made }
            }
            return made
        }
    }
}
