// SPDX-License-Identifier: Apache-2.0
//
// What values of a type consist of, from what the compiler leaves for reflection ("Fields" in the runtime's MetadataReader; include/swift/RemoteInspection/Records.h):
//
//   descriptor of a struct or enum       16  relative pointer to the fields, 0 without reflection metadata
//   fields                               10  size of a record   12  number of records   16 … records
//   record                                0  flags (bit 0: indirect case)   4  relative pointer to the mangled type name, 0 for a case without payload
//   metadata of a fixed array, 0x308     16  its element type
//
// A mirror shows the case that a value has, and nothing of the others.

/// The types that values of a type can hold.
package enum StoredTypes {
    /// Returns the types of a struct's fields, of the payloads of all of an enum's cases, of a tuple's elements, or of a fixed array's element; those that the program has no metadata of are left out.
    package static func of(_ type: Any.Type) -> [Any.Type] {
        if case .tuple(let elements) = StructuralType(type) { return elements.map(\.type) }
        let metadata = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a thick metatype is a pointer to its metadata
        switch metadata.load(as: UInt.self) {
        case 0x308: return [metadata.load(fromByteOffset: 16, as: Any.Type.self)]
        case 0x200, 0x201, 0x202: return fields(metadata.load(fromByteOffset: 8, as: UnsafeRawPointer.self), metadata)
        default: return []
        }
    }

    private static func fields(_ descriptor: UnsafeRawPointer, _ metadata: UnsafeRawPointer) -> [Any.Type] {
        let place = descriptor + 16
        let relative = Int(place.load(as: Int32.self))
        guard relative != 0 else { return [] }
        let fields = place + relative
        let size = Int(fields.load(fromByteOffset: 10, as: UInt16.self))
        return (0..<Int(fields.load(fromByteOffset: 12, as: UInt32.self))).compactMap { index in
            let name = fields + 16 + index * size + 4
            guard name.load(as: Int32.self) != 0 else { return nil }
            // A struct's or an enum's arguments follow its descriptor.
            return MangledName(relativeTo: name).type(in: descriptor, arguments: metadata + 16)
        }
    }
}
