// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// A mangled name with references in it, put into words as far as the descriptors it refers to carry names.
struct SymbolicName {
    /// The name's bytes, in the image they belong to.
    let bytes: UnsafeBufferPointer<UInt8>

    /// The descriptors of types and protocols it refers to, in order.
    var contexts: [UnsafeRawPointer] {
        var contexts: [UnsafeRawPointer] = []
        visit { _ in
        } reference: {
            if let context = $0 { contexts.append(context) }
        }
        return contexts
    }

    /// The type as it is written in source; the names of the types it refers to, where the name as a whole cannot be put into words; nil when there are none.
    var source: String? {
        if let name = expanded, let text = Self.demangled(name) { return text }
        let names = contexts.map { Self.scopes(of: $0).map(\.name).joined(separator: ".") }
        return names.isEmpty ? nil : names.joined(separator: ", ")
    }

    /// Calls `plain` for each byte, and `reference` in place of a reference, with nil for one that is not to a type or protocol.
    private func visit(_ plain: (UInt8) -> Void, reference: (UnsafeRawPointer?) -> Void) {
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case 0x01, 0x02:
                var target: UnsafeRawPointer?
                if let base = bytes.baseAddress, index + 5 <= bytes.count {
                    let place = UnsafeRawPointer(base + index + 1)
                    target = place + Int(place.loadUnaligned(as: Int32.self))
                    if bytes[index] == 0x02 { target = target?.load(as: UnsafeRawPointer?.self) }
                }
                reference(target)
                index += 5
            case 0x03...0x17:
                reference(nil)
                index += 5
            case 0x18...0x1f:
                reference(nil)
                index += 9
            default:
                plain(bytes[index])
                index += 1
            }
        }
    }

    /// The name with names in place of the references; nil where that would be another name.
    private var expanded: String? {
        var text: [UInt8] = []
        var isPlain = true
        visit {
            text.append($0)
        } reference: { context in
            let scopes = context.map { Self.scopes(of: $0) } ?? []
            guard scopes.count > 1 else { return isPlain = false }
            for scope in scopes { text += Array("\(scope.name.utf8.count)\(scope.name)\(scope.letter)".utf8) }
        }
        // "A" refers to something before it by its number, which the names have changed.
        let hasNumbers = !contexts.isEmpty && MangledName(bytes: bytes).hasOperator("A") { _ in true }
        return isPlain && !hasNumbers ? String(decoding: text, as: UTF8.self) : nil
    }

    private static func demangled(_ name: String) -> String? {
        // What all names begin with, and the mark of a type.
        let symbol = "$s\(name)D"
        guard let result = mp_swift_demangle(symbol, symbol.utf8.count, nil, nil, 0) else { return nil }
        defer { free(result) }
        let text = String(cString: result)
        guard text != symbol, !text.isEmpty else { return nil }
        // How code passes it on is not in the source.
        return [
            "Swift.", "@escaping ", "@callee_guaranteed ", "@unowned ", "@guaranteed ", "@owned ", "@in_guaranteed ",
            "@out ",
        ]
        .reduce(text) { Self.removing($1, from: $0) }
    }

    private static func removing(_ part: String, from text: String) -> String {
        var (result, rest) = ("", text[...])
        while let first = rest.first {
            if rest.hasPrefix(part),
                !(result.last.map { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "." } ?? false)
            {
                rest = rest.dropFirst(part.count)
            } else {
                result.append(first)
                rest.removeFirst()
            }
        }
        return result
    }

    /// The name of the module that declares what that descriptor describes.
    static func module(of descriptor: UnsafeRawPointer) -> String? { scopes(of: descriptor).first?.name }

    /// The named scopes of a context descriptor (flags, relative parent, relative name) from its module on, with the letter that a mangled name has for them.
    private static func scopes(of descriptor: UnsafeRawPointer) -> [(name: String, letter: String)] {
        var scopes: [(name: String, letter: String)] = []
        var current: UnsafeRawPointer? = descriptor
        while let context = current, scopes.count < 16 {
            let kind = context.load(as: UInt32.self) & 0x1f
            // Modules (0), protocols (3), classes, structs and enums (16–18) have a name; extensions and anonymous scopes do not.
            let letters: [UInt32: String] = [0: "", 3: "", 16: "C", 17: "V", 18: "O"]
            if let letter = letters[kind] {
                let name = context + 8
                let text = String(cString: (name + Int(name.load(as: Int32.self))).assumingMemoryBound(to: CChar.self))
                scopes.append((text, letter))
            }
            let parent = context + 4
            let relative = Int(parent.load(as: Int32.self))
            guard relative != 0 else { break }
            let place = parent + (relative & ~1)
            current = relative & 1 != 0 ? place.load(as: UnsafeRawPointer?.self) : place
        }
        return scopes.reversed()
    }
}
