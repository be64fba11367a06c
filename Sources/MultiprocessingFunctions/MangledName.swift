// SPDX-License-Identifier: Apache-2.0

/// A mangled type name among the constants of an image.
struct MangledName {
    /// Its bytes, without the zero at the end. Control bytes 0x01–0x17 are followed by a relative pointer of four bytes, 0x18–0x1f by a pointer.
    let bytes: UnsafeBufferPointer<UInt8>

    /// Finds the name that the relative pointer at `place` points to.
    init(relativeTo place: UnsafeRawPointer) {
        let start = (place + Int(place.load(as: Int32.self))).assumingMemoryBound(to: UInt8.self)
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

    init(bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    /// The name within the optionals that it is of ("Sg" each), and how many these are.
    var withoutOptionals: (name: MangledName, count: Int) {
        var (end, count) = (bytes.count, 0)
        while end >= 2, bytes[end - 2] == UInt8(ascii: "S"), bytes[end - 1] == UInt8(ascii: "g") {
            end -= 2
            count += 1
        }
        return (MangledName(bytes: UnsafeBufferPointer(rebasing: bytes[..<end])), count)
    }

    /// The printable bytes.
    var text: String {
        String(decoding: bytes.prefix { (0x20..<0x7f).contains($0) }, as: UTF8.self)
    }

    /// Whether this is the type of a function as code sees it ("I", attributes, "_"), which names no type of the language.
    var isFunction: Bool { functionAttributes != nil }

    /// Whether it is a function that is code alone, without a context beside it ("t": thin).
    var isThinFunction: Bool { functionAttributes?.contains(UInt8(ascii: "t")) == true }

    private var functionAttributes: Slice<UnsafeBufferPointer<UInt8>>? {
        guard bytes.last == UInt8(ascii: "_") else { return nil }
        var index = bytes.count - 2
        while index >= 0, bytes[index] != UInt8(ascii: "I") {
            let isAttribute =
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(bytes[index])
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(bytes[index])
            // "Q" is none: an associated type of a protocol with an "I" in its name ends like a function.
            guard isAttribute, bytes[index] != UInt8(ascii: "Q") else { return nil }
            index -= 1
        }
        return index >= 0 ? bytes[(index + 1)..<(bytes.count - 1)] : nil
    }

    /// Whether it is the type of a type that lies in memory as a pointer to the metadata ("XMT": thick).
    var isThickMetatype: Bool { bytes.suffix(3).elementsEqual("XMT".utf8) }

    /// Whether a type associated with the first generic parameter ("Qz") is in it, or one associated with any other ("QZ", "Qy", "QY", "Qx", "QX").
    func hasAssociatedType(ofFirst: Bool) -> Bool { hasOperator("Q") { (ofFirst ? "z" : "ZyYxX").utf8.contains($0) } }

    /// Whether an operator with that first letter and such a second one is in it, outside of identifiers (a length and as many bytes) and references, any byte of which may look like a letter.
    func hasOperator(_ first: Unicode.Scalar, _ isSecond: (UInt8) -> Bool) -> Bool {
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case 0x01...0x17: index += 5
            case 0x18...0x1f: index += 9
            case UInt8(ascii: "1")...UInt8(ascii: "9"):
                var length = 0
                while index < bytes.count, (0x30...0x39).contains(bytes[index]), length < bytes.count {
                    length = 10 * length + Int(bytes[index] - 0x30)
                    index += 1
                }
                index += length
            case UInt8(ascii: first) where index + 1 < bytes.count && isSecond(bytes[index + 1]): return true
            default: index += 1
            }
        }
        return false
    }

    /// The type, when the program has its metadata.
    var type: Any.Type? {
        guard let start = bytes.baseAddress else { return nil }
        return _getTypeByMangledNameInContext(start, UInt(bytes.count), genericContext: nil, genericArguments: nil)
    }

    /// The type, where the name may hold parameters of the generic type with that descriptor, for those arguments of it.
    func type(in descriptor: UnsafeRawPointer, arguments: UnsafeRawPointer) -> Any.Type? {
        guard let start = bytes.baseAddress, special == nil else { return nil }
        return _getTypeByMangledNameInContext(
            start,
            UInt(bytes.count),
            genericContext: descriptor,
            genericArguments: arguments
        )
    }

    /// What a capture can be beside a value.
    enum Special {
        case pack, weak, unowned
        /// An object around a variable, or around a value that cannot be copied.
        case box
    }

    /// What the capture is when the runtime would find a type for the name that does not say how the capture lies in memory, or none.
    var special: Special? {
        // The runtime does not refuse such a name but ends the program.
        if hasOperator("Q", { "pP".utf8.contains($0) }) { return .pack }
        guard bytes.count > 2 else { return nil }
        // In generic code the name goes on with the parameters of the object's type.
        if bytes.suffix(2).elementsEqual("XX".utf8) { return hasWeak ? .weak : .box }
        guard bytes[bytes.count - 2] == UInt8(ascii: "X") else { return nil }
        switch bytes[bytes.count - 1] {
        case UInt8(ascii: "w"): return .weak
        case UInt8(ascii: "o"), UInt8(ascii: "u"): return .unowned
        case UInt8(ascii: "b"), UInt8(ascii: "c"), UInt8(ascii: "x"): return hasWeak ? .weak : .box
        default: return nil
        }
    }

    private var hasWeak: Bool { hasOperator("X") { $0 == UInt8(ascii: "w") } }

    /// The type as it is written in source, as far as it can be told.
    var source: String? { SymbolicName(bytes: bytes).source }

    /// The descriptor that the first reference in the name is to.
    var firstContext: UnsafeRawPointer? { SymbolicName(bytes: bytes).contexts.first }
}
