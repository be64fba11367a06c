// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives

/// Finds addresses in types that are to lie in shared memory.
///
/// `BitwiseCopyable` rules out references, but not pointers. Nothing in the language tells those apart, so the types that a type consists of are looked at by name, whatever value there is at the
/// moment; an address that was turned into an integer cannot be seen.
enum PointerCheck {
    /// What the names of address types contain; an optional or a tuple names what is in it.
    private static let names = [
        "Swift.Unsafe", "Swift.AutoreleasingUnsafe", "Swift.OpaquePointer", "Swift.Unmanaged", "Swift.CVaListPointer",
        "Swift.UnownedJob",
        "Swift.UnownedSerialExecutor", "Swift.UnownedTaskExecutor", "Builtin.RawPointer", "Builtin.NativeObject",
        "Builtin.BridgeObject", "Builtin.UnknownObject", "Builtin.Job", "Builtin.Executor",
        "Builtin.RawUnsafeContinuation",
    ]

    /// What was found in types that were asked for before: looking takes longer than making the memory.
    private static let known = PlainMutex<[ObjectIdentifier: String?]>(ofProcess: [:])

    /// Throws when values of that type are, or can hold, an address.
    static func check<Value: BitwiseCopyable>(_: Value.Type, as type: Any.Type) throws(SharedStateError) {
        // The usual case, without the cost of reflection.
        guard !(Value.self is any FixedWidthInteger.Type), !(Value.self is any BinaryFloatingPoint.Type) else { return }
        let culprit = known.withLock { known in
            let key = ObjectIdentifier(Value.self)
            if let found = known[key] { return found }
            var seen: Set<ObjectIdentifier> = []
            let found = pointer(in: Value.self, &seen)
            known[key] = .some(found)
            return found
        }
        guard let culprit else { return }
        throw SharedStateError(
            .containsPointer,
            "\(type) cannot lie in shared memory: it holds \(culprit), an address that means something else in another process"
        )
    }

    /// The name of the first type in values of `type` that is an address.
    private static func pointer(in type: Any.Type, _ seen: inout Set<ObjectIdentifier>) -> String? {
        guard seen.insert(ObjectIdentifier(type)).inserted else { return nil }
        let name = String(reflecting: type)
        if type is any Any.Type.Type || names.contains(where: name.contains) || name.contains(" -> ")
            || name.hasSuffix(".Type")
        {
            return name
        }
        for stored in StoredTypes.of(type) {
            if let found = pointer(in: stored, &seen) { return found }
        }
        return nil
    }
}
