// SPDX-License-Identifier: Apache-2.0
//
// The runtime finds no type for a mangled name with a generic parameter in it unless it is given the whole generic environment, which a closure does not keep. The types that generic code
// captures most often are put together here, from the parameters that it does keep (docs/ABI/Mangling.rst in Swift's repository):
//
//   type  =  parameter        "x", "q_", "q0_", … : the n-th parameter of the outermost level
//         |  "Sa" "y" type "G"        Array       |  "Sh" "y" type "G"    Set        |  "SD" "y" type type "G"    Dictionary
//         |  type "Sg"                Optional    |  "Si", "SS", "Sd", "Sb", "Sf", "Su"    numbers, Bool and String

/// A mangled type name of which some parts are generic parameters.
struct GenericTypeName {
    private var rest: ArraySlice<UInt8>
    private let parameter: ([UInt8]) -> Any.Type?

    /// Reads a name; `parameter` tells the type that a generic parameter stands for.
    init(_ name: UnsafeBufferPointer<UInt8>, parameter: @escaping ([UInt8]) -> Any.Type?) {
        rest = ArraySlice(name)
        self.parameter = parameter
    }

    /// The type, if the name is one of those above as a whole.
    mutating func type() -> Any.Type? {
        guard let type = next(), rest.isEmpty else { return nil }
        return type
    }

    private mutating func next() -> Any.Type? {
        guard var type = nextWithoutSuffix() else { return nil }
        while take("Sg") { type = Self.optional(of: type) }
        return type
    }

    private mutating func nextWithoutSuffix() -> Any.Type? {
        for (name, type) in Self.plain where take(name) { return type }
        if take("Say"), let element = next(), take("G") { return CollectionStorage.array(of: element) }
        if take("Shy"), let element = next() as? any Hashable.Type, take("G") {
            return CollectionStorage.set(of: element)
        }
        if take("SDy"), let key = next() as? any Hashable.Type, let value = next(), take("G") {
            return CollectionStorage.dictionary(from: key, to: value)
        }
        if take("x") { return parameter(Array("x".utf8)) }
        guard rest.first == UInt8(ascii: "q"), let end = rest.firstIndex(of: UInt8(ascii: "_")) else { return nil }
        let name = Array(rest[...end])
        guard name.dropFirst().dropLast().allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        rest = rest[(end + 1)...]
        return parameter(name)
    }

    private static let plain: [(String, Any.Type)] = [
        ("Si", Int.self), ("SS", String.self), ("Sd", Double.self), ("Sb", Bool.self), ("Sf", Float.self),
        ("Su", UInt.self),
    ]

    private mutating func take(_ text: String) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    private static func optional(of type: Any.Type) -> Any.Type {
        func open<T>(_: T.Type) -> Any.Type { T?.self }
        return _openExistential(type, do: open)
    }
}
