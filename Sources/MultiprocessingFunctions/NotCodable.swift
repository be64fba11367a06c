// SPDX-License-Identifier: Apache-2.0

/// Why a value whose type is known is refused: which part of the type is not `Codable`, and what to do about it.
enum NotCodable {
    /// The error for a captured value of `type`.
    static func value(_ type: Any.Type) -> FunctionNotPortable {
        let culprit = culprit(in: type)
        if isTask(culprit) { return .task("\(culprit)") }
        if !isCopyable(culprit) { return .noncopyable("\(culprit)") }
        let within = culprit == type ? "" : ", and \(culprit) in it is not"
        return FunctionNotPortable(
            .captureNotCodable,
            type: "\(culprit)",
            "the closure captures a value of type \(type), which is not Codable\(within); \(cure(culprit))"
        )
    }

    /// The error for an object in place of a box: of a value that is nothing but that object the closure keeps no more than the object.
    static func object(_ type: AnyClass) -> FunctionNotPortable {
        FunctionNotPortable(
            .captureNotCodable,
            type: "\(type)",
            """
            the closure captures an object of type \(type), which is not Codable; make \(type) Codable, or make the object inside the closure. \
            Where the captured value is a Codable struct or enum around that object alone, the program does not keep its type: pass it as an argument, or through `with:`
            """
        )
    }

    private static func cure(_ type: Any.Type) -> String {
        switch kind(of: type) {
        case 0x303: return "capture a value of a concrete type, which is"
        case 0x302: return "capture each function by itself, as a constant or an optional"
        default: break
        }
        if isAddress(type) {
            return
                "what lies at an address another process does not see; capture the value itself, or put it in SharedMemory"
        }
        return "make \(type) Codable, or make the value inside the closure"
    }

    /// The part of a type that keeps it from being Codable: that of the elements of a collection, optional or tuple, which are Codable if these are.
    private static func culprit(in type: Any.Type, depth: Int = 0) -> Any.Type {
        guard depth < 16 else { return type }
        var parts: [Any.Type] = []
        if case .tuple(let elements) = StructuralType(type) {
            parts = elements.map(\.type)
        } else if isOfParts(type), let nominal = NominalType(type) {
            // Metadata is what a metatype points to.
            parts = nominal.typeArguments.map { unsafeBitCast($0, to: Any.Type.self) }
        }
        let part = parts.first { !($0 is any Codable.Type) && StructuralType($0)?.isCarried != true }
        return part.map { culprit(in: $0, depth: depth + 1) } ?? type
    }

    private static func isOfParts(_ type: Any.Type) -> Bool {
        let name = _typeName(type, qualified: true)
        return ["Optional", "Array", "ContiguousArray", "ArraySlice", "Set", "Dictionary", "Range", "ClosedRange"]
            .contains { name.hasPrefix("Swift.\($0)<") }
    }

    private static func isTask(_ type: Any.Type) -> Bool { _typeName(type, qualified: true).hasPrefix("Swift.Task<") }

    private static func isAddress(_ type: Any.Type) -> Bool {
        let name = _typeName(type, qualified: true)
        return ["Unsafe", "OpaquePointer", "Unmanaged<"].contains { name.hasPrefix("Swift.\($0)") }
    }

    /// Whether values of a type can be copied: bit 23 of the flags in its table of value witnesses, which lies in the word before the metadata, is not set (ABI/MetadataValues.h).
    private static func isCopyable(_ type: Any.Type) -> Bool {
        let metadata = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a thick metatype is a pointer to its metadata
        let witnesses = (metadata - 8).load(as: UnsafeRawPointer.self)
        if witnesses.load(fromByteOffset: 80, as: UInt32.self) & 1 << 23 != 0 { return false }
        // The runtime does not set it in what it makes for a `Mutex`.
        return NominalType(type).map { !isNeverCopyable($0.descriptor) } ?? true
    }

    /// Whether no value of the type with that descriptor, whatever its arguments, can be copied.
    static func isNeverCopyable(_ descriptor: UnsafeRawPointer) -> Bool {
        let flags = descriptor.load(as: UInt32.self)
        // Bit 5: it does without a conformance that types have unless they say otherwise. Of a generic type (bit 7) it is not known whether it has it for some arguments.
        return flags & 0x20 != 0 && (flags & 0x80 == 0 || SymbolicName.module(of: descriptor) == "Synchronization")
    }

    /// The kind of metadata that a type has (ABI/MetadataKind.def).
    private static func kind(of type: Any.Type) -> UInt {
        // Safe: a metatype is the address of the metadata, which begins with its kind.
        unsafeBitCast(type, to: UnsafePointer<UInt>.self).pointee
    }
}
