// SPDX-License-Identifier: Apache-2.0

/// Finds addresses in types that are to lie in shared memory.
///
/// `BitwiseCopyable` rules out references, but not pointers. Nothing in the language tells those apart, so the fields of a value are looked at by name; an address that was turned into an
/// integer cannot be seen.
enum PointerCheck {
    /// What the names of address types contain; an optional or a tuple names what is in it.
    private static let names = [
        "Swift.Unsafe", "Swift.AutoreleasingUnsafe", "Swift.OpaquePointer", "Swift.Unmanaged", "Swift.CVaListPointer",
        "Swift.UnownedJob",
        "Swift.UnownedSerialExecutor", "Swift.UnownedTaskExecutor", "Builtin.",
    ]

    /// Throws when `value` is, or holds, an address.
    static func check<Value: BitwiseCopyable>(_ value: Value, as type: Any.Type) throws(SharedStateError) {
        // The usual case, without the cost of reflection.
        guard !(Value.self is any FixedWidthInteger.Type), !(Value.self is any BinaryFloatingPoint.Type) else { return }
        guard let culprit = pointer(in: value, depth: 0) else { return }
        throw SharedStateError(
            .containsPointer,
            "\(type) cannot lie in shared memory: it holds \(culprit), an address that means something else in another process"
        )
    }

    /// The name of the first type in `value` that is an address.
    private static func pointer(in value: Any, depth: Int) -> String? {
        let type = Swift.type(of: value)
        let name = String(reflecting: type)
        if type is any Any.Type.Type || names.contains(where: name.contains) || name.contains(" -> ")
            || name.hasSuffix(".Type")
        {
            return name
        }
        guard depth < 16 else { return nil }
        for child in Mirror(reflecting: value).children {
            if let found = pointer(in: child.value, depth: depth + 1) { return found }
        }
        return nil
    }
}
