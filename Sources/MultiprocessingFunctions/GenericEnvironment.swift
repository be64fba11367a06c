// SPDX-License-Identifier: Apache-2.0
//
// In generic code a capture has a type with generic parameters in it. The runtime finds such a type when it is told for which generic type the name stands and with what arguments. A
// closure keeps no generic type, but the arguments; so they are given as those of a type that is declared here for that alone, and has parameters enough.
//
//   name of a parameter (docs/ABI/Mangling.rst in Swift's repository)
//     x        the first of the outermost level       q_, q0_, …        the second, the third, …
//     qd__     the first of the second level          qd_0_, qd_1_, …   its second, its third, …
//     qd0__    the first of the third level           qd0_0_, …         its second, …

/// What the generic parameters of the code around a closure stand for, as far as the closure tells.
struct GenericEnvironment {
    /// By place in the parameters of `Level`; empty as long as no parameter is known. Null where one is not, for which the runtime finds nothing.
    private var arguments: [UnsafeRawPointer?] = []

    /// A type with many parameters on three levels. No value of it is ever made.
    private enum Level<A, B, C, D, E, F> {
        enum Second<G, H, I, J> {
            enum Third<K, L> {}
        }
    }

    /// How many parameters each level has, from the outermost on.
    private static let counts = [6, 4, 2]

    /// The descriptor of the type whose parameters stand for those of the closure.
    private static let descriptor: UInt = {
        typealias Whole = Level<Int, Int, Int, Int, Int, Int>.Second<Int, Int, Int, Int>.Third<Int, Int>
        return NominalType(Whole.self).map { UInt(bitPattern: $0.descriptor) } ?? 0
    }()

    /// Notes that the parameter with that mangled name stands for `type`. One beyond those that there is room for stays unknown.
    mutating func set(_ parameter: some Collection<UInt8>, to type: Any.Type) {
        guard let place = Self.place(of: parameter) else { return }
        if arguments.isEmpty { arguments = Array(repeating: nil, count: Self.counts.reduce(0, +)) }
        arguments[place] = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a metatype is a pointer to its metadata
    }

    /// Whether that parameter is known.
    func knows(_ parameter: some Collection<UInt8>) -> Bool {
        guard !arguments.isEmpty, let place = Self.place(of: parameter) else { return false }
        return arguments[place] != nil
    }

    /// The type with that name, if the program has it and all parameters in it are known.
    func type(named name: MangledName) -> Any.Type? {
        // The runtime ends the program when it is asked for a type that belongs to a parameter that it does not know.
        guard !name.hasAssociatedType(ofFirst: false), !name.hasAssociatedType(ofFirst: true) || knows("x".utf8) else {
            return nil
        }
        guard !arguments.isEmpty, let descriptor = UnsafeRawPointer(bitPattern: Self.descriptor) else {
            return name.type
        }
        return arguments.withUnsafeBufferPointer { arguments in
            arguments.baseAddress.flatMap { name.type(in: descriptor, arguments: UnsafeRawPointer($0)) }
        }
    }

    /// Where the parameter with that name is among all that there is room for.
    private static func place(of parameter: some Collection<UInt8>) -> Int? {
        guard let (level, index) = levelAndIndex(of: parameter), level < counts.count, index < counts[level] else {
            return nil
        }
        return counts[..<level].reduce(0, +) + index
    }

    private static func levelAndIndex(of parameter: some Collection<UInt8>) -> (level: Int, index: Int)? {
        if parameter.elementsEqual("x".utf8) { return (0, 0) }
        var rest = Array(parameter)[...]
        guard rest.popFirst() == UInt8(ascii: "q") else { return nil }
        var level = 0
        if rest.first == UInt8(ascii: "d") {
            rest.removeFirst()
            guard let number = number(&rest) else { return nil }
            level = number + 1
        }
        guard let number = number(&rest), rest.isEmpty else { return nil }
        // The first of the outermost level is "x".
        return (level, level == 0 ? number + 1 : number)
    }

    /// Reads "_" as 0, "0_" as 1, and so on.
    private static func number(_ rest: inout ArraySlice<UInt8>) -> Int? {
        guard let end = rest.firstIndex(of: UInt8(ascii: "_")) else { return nil }
        let digits = rest[..<end]
        rest = rest[(end + 1)...]
        guard !digits.isEmpty else { return 0 }
        guard digits.count < 4, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return digits.reduce(0) { 10 * $0 + Int($1 - 0x30) } + 1
    }
}
