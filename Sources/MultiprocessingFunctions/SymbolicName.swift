// SPDX-License-Identifier: Apache-2.0

/// A mangled name with references in it, put into words as far as the descriptors it refers to carry names.
struct SymbolicName: CustomStringConvertible {
    /// The name's bytes, in the image they belong to.
    let bytes: UnsafeBufferPointer<UInt8>

    /// The names of the types it refers to, outermost scope first, such as "Shop.Basket".
    var description: String {
        var names: [String] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case 0x01, 0x02:
                if let base = bytes.baseAddress, index + 5 <= bytes.count {
                    let place = UnsafeRawPointer(base + index + 1)
                    var target: UnsafeRawPointer? = place + Int(place.loadUnaligned(as: Int32.self))
                    if bytes[index] == 0x02 { target = target?.load(as: UnsafeRawPointer?.self) }
                    if let target { names.append(Self.qualifiedName(of: target)) }
                }
                index += 5
            case 0x03...0x17: index += 5
            case 0x18...0x1f: index += 9
            default: index += 1
            }
        }
        guard names.isEmpty else { return names.joined(separator: ", ") }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.isEmpty ? "a type without a name" : "the type mangled as \(text)"
    }

    /// Walks from a context descriptor (flags, relative parent, relative name) up to its module.
    private static func qualifiedName(of descriptor: UnsafeRawPointer) -> String {
        var parts: [String] = []
        var current: UnsafeRawPointer? = descriptor
        while let context = current, parts.count < 16 {
            let kind = context.load(as: UInt32.self) & 0x1f
            // Modules (0), protocols (3), classes, structs and enums (16–18) have a name; extensions and anonymous scopes do not.
            if kind == 0 || kind == 3 || (16...18).contains(kind) {
                let name = context + 8
                parts.append(
                    String(cString: (name + Int(name.load(as: Int32.self))).assumingMemoryBound(to: CChar.self))
                )
            }
            let parent = context + 4
            let relative = Int(parent.load(as: Int32.self))
            guard relative != 0 else { break }
            let place = parent + (relative & ~1)
            current = relative & 1 != 0 ? place.load(as: UnsafeRawPointer?.self) : place
        }
        return parts.reversed().joined(separator: ".")
    }
}
