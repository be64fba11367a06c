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
            let name = MangledName(at: Self.relative(sources + index * 8))
            let source = MangledName(at: Self.relative(sources + index * 8 + 4)).text
            // "B0" is binding 0; the other forms lead through captured objects.
            if source.hasPrefix("B"), let binding = Int(source.dropFirst().prefix { $0.isNumber }) {
                parameters.append((Array(name.bytes), binding))
            }
        }
        captures = (0..<captureCount).map { index in
            let name = MangledName(at: Self.relative(descriptor + 12 + index * 4))
            if name.isFunction { return .function }
            if let reason = name.unreadable { return .unknown(name: reason) }
            if let parameter = parameters.first(where: { $0.name.elementsEqual(name.bytes) }),
                let type = genericArgument(parameter.binding)
            {
                return .value(type)
            }
            // In code that is not optimised a capture keeps its generic type, which has to be put together here.
            var generic = GenericTypeName(name.bytes) { parameter in
                parameters.first { $0.name.elementsEqual(parameter) }.flatMap { genericArgument($0.binding) }
            }
            return (name.type ?? generic.type()).map { .value($0) } ?? .unknown(name: name.demangled)
        }
    }

    private static func relative(_ pointer: UnsafeRawPointer) -> UnsafeRawPointer {
        pointer + Int(pointer.load(as: Int32.self))
    }
}

/// A mangled type name among the constants of an image.
private struct MangledName {
    /// Its bytes, without the zero at the end. Control bytes 0x01–0x17 are followed by a relative pointer of four bytes, 0x18–0x1f by a pointer.
    let bytes: UnsafeBufferPointer<UInt8>

    init(at pointer: UnsafeRawPointer) {
        let start = pointer.assumingMemoryBound(to: UInt8.self)
        var length = 0
        while start[length] != 0 {
            switch start[length] {
            case 0x01...0x17: length += 5
            case 0x18...0x1f: length += 9
            default: length += 1
            }
        }
        bytes = UnsafeBufferPointer(start: start, count: length)
    }

    /// The printable bytes.
    var text: String {
        String(decoding: bytes.prefix { (0x20..<0x7f).contains($0) }, as: UTF8.self)
    }

    /// Whether this is the type of a function as code sees it ("I", attributes, "_"), which names no type of the language.
    var isFunction: Bool {
        guard bytes.last == UInt8(ascii: "_") else { return false }
        var index = bytes.count - 2
        while index >= 0, bytes[index] != UInt8(ascii: "I") {
            let isAttribute =
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(bytes[index])
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(bytes[index])
            guard isAttribute else { return false }
            index -= 1
        }
        return index >= 0
    }

    /// The type, when the program has its metadata.
    var type: Any.Type? {
        guard let start = bytes.baseAddress else { return nil }
        return _getTypeByMangledNameInContext(start, UInt(bytes.count), genericContext: nil, genericArguments: nil)
    }

    /// What the capture is when the runtime would find a type for the name that does not say how the capture lies in memory.
    var unreadable: String? {
        // The runtime does not refuse such a name but ends the program.
        if text.contains("Qp") || text.contains("QP") { return "a parameter pack" }
        guard bytes.count > 2, bytes[bytes.count - 2] == UInt8(ascii: "X") else { return nil }
        switch bytes[bytes.count - 1] {
        case UInt8(ascii: "w"): return "a weak reference"
        case UInt8(ascii: "o"), UInt8(ascii: "u"): return "an unowned reference"
        case UInt8(ascii: "b"), UInt8(ascii: "c"): return "a variable"
        default: return nil
        }
    }

    /// What can be said of the type in words.
    var demangled: String { SymbolicName(bytes: bytes).description }
}
