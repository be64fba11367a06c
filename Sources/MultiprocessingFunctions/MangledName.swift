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

    /// Whether a type associated with a generic parameter is in it ("Qz", "QZ", "Qy", "QY", "Qx", "QX").
    var hasAssociatedType: Bool { hasOperator { "zZyYxX".utf8.contains($0) } }

    /// Whether an operator "Q" with such a second letter is in it, outside of identifiers (a length and as many bytes) and references.
    private func hasOperator(_ isSecond: (UInt8) -> Bool) -> Bool {
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
            case UInt8(ascii: "Q") where index + 1 < bytes.count && isSecond(bytes[index + 1]): return true
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
        guard let start = bytes.baseAddress, unreadable == nil else { return nil }
        return _getTypeByMangledNameInContext(
            start,
            UInt(bytes.count),
            genericContext: descriptor,
            genericArguments: arguments
        )
    }

    /// What the capture is when the runtime would find a type for the name that does not say how the capture lies in memory.
    var unreadable: String? {
        // The runtime does not refuse such a name but ends the program.
        if hasOperator({ "pP".utf8.contains($0) }) { return "a parameter pack" }
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
