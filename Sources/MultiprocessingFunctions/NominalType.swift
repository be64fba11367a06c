// SPDX-License-Identifier: Apache-2.0
//
// What the runtime's metadata says of a struct, enum or class: which descriptor it was made from and with which generic arguments. Offsets are those of the Swift ABI
// ("Type Metadata" in the compiler's documentation), in bytes:
//
//   metadata of a struct or enum          metadata of a class
//     0  kind (0x200, 0x201, 0x202)         0  kind (0)
//     8  descriptor                        40  descriptor
//    16  generic arguments                  …  at an offset the descriptor tells
//
//   descriptor
//     0  flags: bits 0–4 kind (16 class, 17 struct, 18 enum), bit 7 generic
//    12  relative pointer to the access function
//    28  (struct, enum) or 44 (class): generic header, if any:
//          +8 number of parameters   +10 of requirements   +12 of key arguments   +14 flags (bit 0: has packs)
//          +16 a byte for each parameter: bit 7 key argument, bits 0–5 kind (0 type, 1 pack, 2 value)

/// A struct, enum or class type taken apart.
struct NominalType {
    /// The address of its descriptor, a constant of the image that declares the type.
    let descriptor: UnsafeRawPointer
    /// The metadata of its generic arguments.
    let typeArguments: [UnsafeRawPointer]
    /// The witness tables for the conformances its generic signature asks for.
    let witnessTables: [UnsafeRawPointer]

    /// Takes `type` apart. Nil when it is of another kind (a tuple, a function, an existential), or generic in a way that is not plain types (packs, values).
    init?(_ type: Any.Type) {
        let metadata = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a thick metatype is a pointer to its metadata
        let isClass: Bool
        switch metadata.load(as: UInt.self) {
        case 0x200, 0x201, 0x202: isClass = false
        case 0: isClass = true
        default: return nil
        }
        guard let descriptor = metadata.load(fromByteOffset: isClass ? 40 : 8, as: UnsafeRawPointer?.self) else {
            return nil
        }
        self.descriptor = descriptor
        let flags = descriptor.load(as: UInt32.self)
        guard flags & 0x80 != 0 else {
            typeArguments = []
            witnessTables = []
            return
        }
        let header = descriptor + (isClass ? 44 : 28)
        guard let counts = GenericCounts(header: header) else { return nil }
        var offset = 16
        if isClass {
            // With a superclass from a resilient library the offset is known to the runtime alone.
            let hasResilientSuperclass = flags & (1 << 29) != 0
            let areMembersNegative = flags & (1 << 28) != 0
            guard !hasResilientSuperclass, !areMembersNegative else { return nil }
            let positiveWords = Int(descriptor.load(fromByteOffset: 28, as: UInt32.self))
            let memberWords = Int(descriptor.load(fromByteOffset: 32, as: UInt32.self))
            offset = (positiveWords - memberWords) * 8
        }
        let arguments = (0..<counts.keyArguments).map {
            metadata.load(fromByteOffset: offset + $0 * 8, as: UnsafeRawPointer.self)
        }
        typeArguments = Array(arguments.prefix(counts.types))
        witnessTables = Array(arguments.dropFirst(counts.types))
    }

    /// The access function of the type that `descriptor` describes, as an address. Nil where the descriptor is of another kind.
    static func accessor(of descriptor: UnsafeRawPointer) -> (address: UInt, keyArguments: Int)? {
        let flags = descriptor.load(as: UInt32.self)
        guard (16...18).contains(flags & 0x1f) else { return nil }
        var keyArguments = 0
        if flags & 0x80 != 0 {
            guard let counts = GenericCounts(header: descriptor + (flags & 0x1f == 16 ? 44 : 28)) else { return nil }
            keyArguments = counts.keyArguments
        }
        let relative = descriptor.load(fromByteOffset: 12, as: Int32.self)
        guard relative != 0 else { return nil }
        return (UInt(bitPattern: descriptor + 12 + Int(relative)), keyArguments)
    }
}

/// The part of a generic header that tells how many arguments a type takes.
private struct GenericCounts {
    /// How many of the arguments are types.
    let types: Int
    /// Types and witness tables together.
    let keyArguments: Int

    /// Reads the header. Nil when a parameter is a pack or a value.
    init?(header: UnsafeRawPointer) {
        let parameters = Int(header.load(fromByteOffset: 8, as: UInt16.self))
        let flags = header.load(fromByteOffset: 14, as: UInt16.self)
        guard flags & 1 == 0 else { return nil }
        keyArguments = Int(header.load(fromByteOffset: 12, as: UInt16.self))
        var types = 0
        for index in 0..<parameters {
            let parameter = header.load(fromByteOffset: 16 + index, as: UInt8.self)
            guard parameter & 0x3f == 0 else { return nil }
            if parameter & 0x80 != 0 { types += 1 }
        }
        guard types <= keyArguments else { return nil }
        self.types = types
    }
}
