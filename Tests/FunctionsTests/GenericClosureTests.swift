// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

/// Closures made in code that is generic, over types that are. Built without optimisation they keep the generic types; built with it, mostly not.
@Suite(.timeLimit(.minutes(10)))
struct GenericClosureTests {
    private func check(_ closures: [@Sendable () -> String], _ line: SourceLocation = #_sourceLocation) throws {
        for (index, closure) in closures.enumerated() {
            #expect(try Travel.closure(closure) == closure(), "closure \(index)", sourceLocation: line)
        }
    }

    @Test func `methods of a generic struct travel with it`() throws {
        try check(Crate(content: opaque(7)).describers(opaque(3)))
        try check(Crate(content: opaque("seven")).describers(opaque(3)))
        try check(Crate(content: [Rectangle(width: 1, height: opaque(2))]).describers(opaque(3)))
        try check(Crate(content: Crate(content: opaque(1.5))).describers(opaque(3)))
    }

    @Test func `functions that are generic over what a generic type is of carry it`() throws {
        try check(crateDescribers(Crate(content: opaque("a")), opaque(2)))
        try check(crateDescribers(Crate(content: opaque(UInt8(4))), opaque(2)))
    }

    @Test func `types whose parameters must conform to something are carried`() throws {
        let register = Register(entries: [opaque("a"): opaque(1.5)])
        try check(register.describers(with: opaque(3)))
        try check(register.describers(with: [Rectangle(width: 1, height: opaque(2))]))
        try check(Register(entries: [opaque(1): Crate(content: opaque("b"))]).describers(with: opaque("c")))
    }

    @Test func `types within generic types, and generic methods of these, are carried`() throws {
        let label = Crate<Int>.Label(text: opaque("l"), content: opaque(5))
        try check(label.describers(opaque(2.5)))
        let choices: [Choice<String>] = [.one(opaque("x")), .none, .two(opaque("y"), "z")]
        try check(choices.map { choiceDescriber($0, opaque(1)) })
    }

    @Test func `methods of a generic class travel with the object, also one of a subclass`() throws {
        try check(Shelf(item: opaque(7)).describers(opaque(3)))
        try check(Shelf(item: [opaque("book")]).describers(opaque(3)))
        try check(TallShelf(height: opaque(4)).describers(opaque(3)))
        try check(shelfDescribers(opaque(1), TallShelf(height: opaque(4)), Shelf(item: opaque("s"))))
    }

    @Test func `types and values of associated types are captured in generic code`() throws {
        try check(typeDescribers([opaque(1), 2], opaque(3)))
        try check(typeDescribers([opaque("a")], opaque(3)))
    }

    @Test func `a class captured in generic code is that of the object`() throws {
        let describe = metatypeDescriber(opaque(Dog(name: "Rex")) as Animal, opaque(2))
        #expect(try Travel.closure(describe) == "Dog 2")
    }

    @Test func `a damaged closure of a generic class is refused`() throws {
        for closure in Shelf(item: opaque(7)).describers(opaque(3)) {
            let bytes = try Travel.bytes(of: PortableFunction(closure: closure))
            for count in 0..<bytes.count {
                #expect(throws: (any Error).self) { try Travel.call(Array(bytes.prefix(count))) }
            }
            var random = Seeded(seed: 11)
            for _ in 0..<2000 {
                var damaged = bytes
                damaged[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
                // Damage to a captured value may give another value.
                _ = try? Travel.call(damaged)
            }
        }
    }
}
