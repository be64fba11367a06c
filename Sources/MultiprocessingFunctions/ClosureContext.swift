// SPDX-License-Identifier: Apache-2.0
//
// What a closure captured lies in an object made by the compiler:
//
//    0  metadata         its first word is 0x400 for such a box; at +16 a pointer to the capture descriptor
//    8  reference count
//   16  bindings         a word each: the generic arguments of the code around the closure
//    …  captures         in order, each at its natural alignment
//
//   capture descriptor
//    0  number of captures   4  of metadata sources   8  of bindings
//   12  a relative pointer for each capture to its mangled type name
//    …  a pair of relative pointers for each source: mangled parameter, where it comes from
//
// A closure that captured one native object has no box: its context is that object (kind 0, a class).

internal import CMultiprocessing

/// The box of a closure, taken apart.
struct ClosureContext {
    /// How a capture can be carried.
    enum Capture {
        /// A value of a type that is known.
        case value(any Any.Type)
        /// A function: two words, like the closure itself.
        case function
        /// The compiler left out the type's metadata, or it is no type (a captured variable); the name says what is known.
        case unknown(name: String)
    }

    /// The kind of metadata that a closure's box has.
    static let boxKind: UInt = 0x400
    /// The kind of metadata that the box of an `any Error` has.
    static let errorKind: UInt = 0x501
    /// The kind of metadata of an existential type (ABI/MetadataKind.def).
    private static let existentialKind: UInt = 0x303

    /// Whether values of `type` may be of many types: `any P`.
    static func isExistential(_ type: Any.Type) -> Bool {
        // Safe: a metatype is the address of the metadata, which begins with its kind.
        unsafeBitCast(type, to: UnsafePointer<UInt>.self).pointee == existentialKind
    }

    /// The number of words of generic arguments.
    let bindingCount: Int
    /// The captures in the order in which they lie in memory.
    let captures: [Capture]

    /// Takes the box with that metadata apart. Nil when the program was compiled without reflection metadata.
    ///
    /// - Parameter genericArgument: Returns the metadata in a binding, for captures whose type is a generic parameter.
    init?(metadata: UnsafeRawPointer, genericArgument: @escaping (Int) -> Any.Type?) {
        guard let descriptor = metadata.load(fromByteOffset: 16, as: UnsafeRawPointer?.self) else { return nil }
        let captureCount = Int(descriptor.load(as: UInt32.self))
        let sourceCount = Int(descriptor.load(fromByteOffset: 4, as: UInt32.self))
        bindingCount = Int(descriptor.load(fromByteOffset: 8, as: UInt32.self))
        guard captureCount < 1 << 16, sourceCount < 1 << 16, bindingCount < 1 << 16 else { return nil }

        var parameters: [(name: [UInt8], binding: Int)] = []
        let sources = descriptor + 12 + captureCount * 4
        for index in 0..<sourceCount {
            let name = MangledName(relativeTo: sources + index * 8)
            let source = MangledName(relativeTo: sources + index * 8 + 4).text
            // "B0" is binding 0; the other forms lead through captured objects.
            if source.hasPrefix("B"), let binding = Int(source.dropFirst().prefix { $0.isNumber }) {
                parameters.append((Array(name.bytes), binding))
            }
        }
        captures = (0..<captureCount).map { index in
            let name = MangledName(relativeTo: descriptor + 12 + index * 4)
            if name.isFunction {
                return name.isThinFunction ? .unknown(name: "a function of C, or another without a context") : .function
            }
            if let reason = name.unreadable { return .unknown(name: reason) }
            if let parameter = parameters.first(where: { $0.name.elementsEqual(name.bytes) }),
                let type = genericArgument(parameter.binding)
            {
                return .value(type)
            }
            // The runtime ends the program when it is asked for one.
            if name.hasAssociatedType { return .unknown(name: "a value of an associated type, in generic code") }
            // In code that is not optimised a capture keeps its generic type, which has to be put together here.
            var generic = GenericTypeName(name.bytes) { parameter in
                parameters.first { $0.name.elementsEqual(parameter) }.flatMap { genericArgument($0.binding) }
            }
            return (name.type ?? generic.type()).map { .value($0) } ?? .unknown(name: name.demangled)
        }
    }
}
