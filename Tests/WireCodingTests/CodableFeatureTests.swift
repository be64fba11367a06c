// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Features of Codable` {
    /// Writes by one closure and reads by another.
    private func script(
        write: @escaping (any Encoder) throws -> Void,
        read: @escaping (any Decoder) throws -> Void
    ) throws {
        let message = try bytes(of: Scripted<Never>(write))
        _ = try value(Scripted<Never>.self, from: message, userInfo: [.script: read])
    }

    @Test func `a struct of mixed fields arrives, alone and in collections`() throws {
        try expectCarried(Mixed.sample)
        try expectCarried([Mixed](repeating: .sample, count: 20))
        try expectCarried(["a": Mixed.sample])
        try expectCarried([1: [Mixed.sample]])
        try expectCarried(Optional(Mixed.sample))
        try expectCarried([nil, Mixed.sample])
        try expectCarried([[nil, Mixed.sample], nil, []])
    }

    @Test func `an enum with payloads and itself inside arrives`() throws {
        let shape = Shape.many(
            shapes: [.empty, .circle(radius: 1), .pair(.empty, .labelled("x", nil))],
            names: ["a": .labelled("", .circle(radius: 2))]
        )
        try expectCarried(shape)
        try expectCarried([shape, shape])
    }

    @Test func `types that hold or write nothing arrive`() throws {
        try expectCarried(Nothing())
        try expectCarried(Silent())
        try expectCarried([Nothing](repeating: Nothing(), count: 100))
        try expectCarried([Silent(), Silent()])
        try expectCarried(["a": Silent()])
        try expectCarried(Optional(Silent()))
    }

    @Test func `raw-representable types arrive as their raw value`() throws {
        try expectCarried(Color.allCases)
        try expectCarried(Options(rawValue: 5))
        #expect(try value(String.self, from: bytes(of: Color.green)) == "green")
        #expect(throws: DecodingError.self) { try value(Color.self, from: bytes(of: "blue")) }
    }

    @Test func `a subclass may share its encoder with its superclass`() throws {
        let dog = try carried(SharingDog(name: "Rex", tricks: ["sit", "roll"]))
        #expect(dog.name == "Rex")
        #expect(dog.tricks == ["sit", "roll"])
    }

    @Test func `a subclass may use super encoders with and without keys`() throws {
        let dog = try carried(NestingDog(name: "Rex", tricks: ["sit"]))
        #expect(dog.name == "Rex")
        #expect(dog.tricks == ["sit"])
    }

    @Test func `fields may be read in any order, skipped and asked for in vain`() throws {
        try expectCarried(Backwards(a: 1, b: "x", d: [3]))
        try expectCarried([Backwards](repeating: Backwards(a: 1, b: "x", d: [3]), count: 5))
    }

    @Test func `a type may find out by trying what a value is`() throws {
        try expectCarried(
            Dynamic.object([
                "n": .null, "b": .bool(true), "i": .int(-5), "d": .double(1.5), "s": .string("x"),
                "l": .list([.int(1), .list([]), .object([:])]),
            ])
        )
    }

    @Test func `containers under way may be written to in turn`() throws {
        try script { encoder in
            var outer = encoder.container(keyedBy: AnyKey.self)
            var first = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "first")
            var second = outer.nestedUnkeyedContainer(forKey: "second")
            var third = second.nestedContainer(keyedBy: AnyKey.self)
            for round in 0..<20 {
                try first.encode(round, forKey: AnyKey(stringValue: "f\(round)"))
                try outer.encode("o", forKey: AnyKey(stringValue: "o\(round)"))
                try second.encode([round])
                try third.encode(Mixed.sample, forKey: AnyKey(stringValue: "t\(round)"))
            }
        } read: { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            #expect(outer.allKeys.count == 22)
            let first = try outer.nestedContainer(keyedBy: AnyKey.self, forKey: "first")
            var second = try outer.nestedUnkeyedContainer(forKey: "second")
            let third = try second.nestedContainer(keyedBy: AnyKey.self)
            #expect(second.count == 21)
            for round in 0..<20 {
                #expect(try first.decode(Int.self, forKey: AnyKey(stringValue: "f\(round)")) == round)
                #expect(try outer.decode(String.self, forKey: AnyKey(stringValue: "o\(round)")) == "o")
                #expect(try second.decode([Int].self) == [round])
                #expect(try third.decode(Mixed.self, forKey: AnyKey(stringValue: "t\(round)")) == .sample)
            }
            #expect(second.isAtEnd)
        }
    }

    @Test func `super encoders may be written to after the containers that came later`() throws {
        try script { encoder in
            var outer = encoder.container(keyedBy: AnyKey.self)
            let empty = outer.superEncoder(forKey: "empty")
            let late = outer.superEncoder()
            var list = outer.nestedUnkeyedContainer(forKey: "list")
            let inList = list.superEncoder()
            let alsoInList = list.superEncoder()
            try outer.encode(1, forKey: "one")
            try Mixed.sample.encode(to: late)
            try list.encode(2)
            try "text".encode(to: alsoInList)
            var single = inList.singleValueContainer()
            try single.encode([Mixed.sample])
            _ = empty
        } read: { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            #expect(try Mixed(from: outer.superDecoder()) == .sample)
            #expect(try outer.superDecoder(forKey: "empty").singleValueContainer().decodeNil())
            #expect(try outer.superDecoder(forKey: "never written").singleValueContainer().decodeNil())
            #expect(try outer.decode(Int.self, forKey: "one") == 1)
            var list = try outer.nestedUnkeyedContainer(forKey: "list")
            #expect(try [Mixed](from: list.superDecoder()) == [.sample])
            #expect(try list.decode(String.self) == "text")
            #expect(try list.decode(Int.self) == 2)
        }
    }

    @Test func `a key written twice has the later value`() throws {
        try script { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encode(1, forKey: "a")
            try container.encodeIfPresent(Int?.none, forKey: "b")
            try container.encode("x", forKey: "a")
            try container.encode(2, forKey: "b")
            try container.encodeIfPresent(Int?.none, forKey: "a")
            for round in 0..<100 { try container.encode(round, forKey: AnyKey(stringValue: "k\(round)")) }
            for round in 0..<100 { try container.encode(-round, forKey: AnyKey(stringValue: "k\(round)")) }
            var other = encoder.container(keyedBy: Mixed.Keys.self)
            try other.encode("mixed", forKey: .a)
        } read: { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(try container.decode(String.self, forKey: "a") == "mixed")
            #expect(try container.decodeIfPresent(Int.self, forKey: "b") == 2)
            #expect(container.allKeys.count == 102)
            for round in 0..<100 {
                #expect(try container.decode(Int.self, forKey: AnyKey(stringValue: "k\(round)")) == -round)
            }
        }
    }

    @Test func `a nested container asked for twice is the same one`() throws {
        try script { encoder in
            var outer = encoder.container(keyedBy: AnyKey.self)
            var first = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "n")
            try first.encode(1, forKey: "a")
            var second = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "n")
            try second.encode(2, forKey: "b")
        } read: { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            #expect(outer.allKeys == ["n"])
            #expect(try outer.decode([String: Int].self, forKey: "n") == ["a": 1, "b": 2])
        }
    }

    @Test func `nil is told from not there where Codable does`() throws {
        try script { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encodeNil(forKey: "nil")
            try container.encodeIfPresent(String?.none, forKey: "absent")
            try container.encodeIfPresent(Optional(Optional<Int>.none), forKey: "some nil")
        } read: { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(container.contains("nil"))
            #expect(try container.decodeNil(forKey: "nil"))
            #expect(try container.decodeIfPresent(Int.self, forKey: "nil") == nil)
            #expect(!container.contains("absent"))
            #expect(throws: DecodingError.self) { try container.decodeNil(forKey: "absent") }
            #expect(container.allKeys == ["nil", "some nil"])
            #expect(try container.decodeIfPresent(Int?.self, forKey: "some nil") == .some(nil))
            #expect(try container.decodeIfPresent(Int?.self, forKey: "absent") == nil)
        }
    }

    @Test func `what was written element by element may be read as an array, and the other way round`() throws {
        struct ByHand: Codable {
            var numbers: [Int]
            init(numbers: [Int]) { self.numbers = numbers }
            init(from decoder: any Decoder) throws { numbers = try decoder.singleValueContainer().decode([Int].self) }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                for number in numbers { try container.encode(number) }
            }
        }
        #expect(try carried(ByHand(numbers: [1, -500, 70_000])).numbers == [1, -500, 70_000])
        #expect(try value([Int16].self, from: bytes(of: [1, 2, 300])) == [1, 2, 300])
        #expect(try value([Double].self, from: bytes(of: [1, 2, 300])) == [1, 2, 300])
        #expect(try value([Int?].self, from: bytes(of: [1, 2])) == [1, 2])
        #expect(try value([Options].self, from: bytes(of: [1, 2])) == [Options(rawValue: 1), Options(rawValue: 2)])
        #expect(throws: DecodingError.self) { try value([Int8].self, from: bytes(of: [1, 2, 300])) }

        try script { encoder in
            var container = encoder.singleValueContainer()
            try container.encode([1.5, 2, 3])
        } read: { decoder in
            var container = try decoder.unkeyedContainer()
            #expect(container.count == 3)
            #expect(try !container.decodeNil())
            #expect(try container.decode(Double.self) == 1.5)
            #expect(try container.decode(Int.self) == 2)
            #expect(try container.decode(Float?.self) == 3)
            #expect(container.isAtEnd)
            #expect(throws: DecodingError.self) { try container.decode(Int.self) }
        }
    }

    @Test func `a failed attempt to read an element does not move on`() throws {
        try script { encoder in
            var container = encoder.unkeyedContainer()
            try container.encode("a")
            try container.encode(Mixed.sample)
        } read: { decoder in
            var container = try decoder.unkeyedContainer()
            #expect(throws: DecodingError.self) { try container.decode(Int.self) }
            #expect(throws: DecodingError.self) { try container.decode(Mixed.self) }
            #expect(container.currentIndex == 0)
            #expect(try container.decode(String.self) == "a")
            #expect(throws: DecodingError.self) { try container.nestedUnkeyedContainer() }
            #expect(try container.decode(Mixed.self) == .sample)
        }
    }

    @Test func `a value whose encoding failed leaves its container as it was`() throws {
        try script { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            try? container.encode(Scripted<Never> { _ in throw CancellationError() }, forKey: "bad")
            try container.encode(1, forKey: "good")
            var list = container.nestedUnkeyedContainer(forKey: "list")
            try? list.encode(
                Scripted<Never> { encoder in
                    var inner = encoder.unkeyedContainer()
                    try inner.encode(5)
                    throw CancellationError()
                }
            )
            try list.encode(2)
        } read: { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(container.allKeys == ["good", "list"])
            #expect(try container.decode([Int].self, forKey: "list") == [2])
        }
    }

    @Test func `a list or dictionary whose encoding failed half-way leaves its container as it was`() throws {
        let good = Scripted<Never> { encoder in
            var inner = encoder.unkeyedContainer()
            try inner.encode(5)
        }
        let bad = Scripted<Never> { _ in throw CancellationError() }
        try script { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            try? container.encode([good, bad], forKey: "bad")
            try? container.encode(["k": ["l": bad]], forKey: "worse")
            try container.encode(1, forKey: "good")
            var list = container.nestedUnkeyedContainer(forKey: "list")
            for _ in 0..<3 { try? list.encode([[good], [good, bad]]) }
            try list.encode(2)
        } read: { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(container.allKeys == ["good", "list"])
            #expect(try container.decode(Int.self, forKey: "good") == 1)
            #expect(try container.decode([Int].self, forKey: "list") == [2])
        }
    }

    @Test(arguments: [1, 2, 3, 6, 40])
    func `a value that is written late may itself write into two containers in turn`(count: Int) throws {
        let columns = Scripted<Never> { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            var (x, y) = (container.nestedUnkeyedContainer(forKey: "x"), container.nestedUnkeyedContainer(forKey: "y"))
            for number in 0..<count {
                try x.encode(number)
                try y.encode("\(number)")
            }
        }
        try script { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            var (a, b) = (container.nestedUnkeyedContainer(forKey: "a"), container.nestedUnkeyedContainer(forKey: "b"))
            try b.encode("t")
            try a.encode(columns)
            try b.encode("u")
        } read: { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(try container.decode([String].self, forKey: "b") == ["t", "u"])
            var list = try container.nestedUnkeyedContainer(forKey: "a")
            let inner = try list.nestedContainer(keyedBy: AnyKey.self)
            #expect(try inner.decode([Int].self, forKey: "x") == Array(0..<count))
            #expect(try inner.decode([String].self, forKey: "y") == (0..<count).map { "\($0)" })
            #expect(list.isAtEnd)
        }
    }

    @Test func `user info reaches user code on both sides, in nested values as well`() throws {
        let key = CodingUserInfoKey(rawValue: "k").unsafelyUnwrapped
        let message = try bytes(
            of: [Scripted<Never> { encoder in #expect(encoder.userInfo[key] as? Int == 7) }],
            userInfo: [key: 7]
        )
        var seen = 0
        let read: (any Decoder) throws -> Void = { if $0.userInfo[key] as? Int == 8 { seen += 1 } }
        _ = try value([Scripted<Never>].self, from: message, userInfo: [key: 8, .script: read])
        #expect(seen == 1)
    }

    @Test func `a decoder kept beyond its value still reads, until the whole message is done`() throws {
        struct Keeper: Codable {
            var decoder: (any Decoder)?
            init() {}
            init(from decoder: any Decoder) throws { self.decoder = decoder }
            func encode(to encoder: any Encoder) throws { try Mixed.sample.encode(to: encoder) }
        }
        struct Outer: Codable {
            var keeper = Keeper()
            var mixed: Mixed?
            init() {}
            init(from decoder: any Decoder) throws {
                keeper = try decoder.singleValueContainer().decode([Keeper].self)[0]
                mixed = try keeper.decoder.map { try Mixed(from: $0) }
            }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode([keeper])
            }
        }
        let outer = try carried(Outer())
        #expect(outer.mixed == .sample)
        let decoder = try #require(outer.keeper.decoder)
        #expect(throws: WireCodingError.self) { try Mixed(from: decoder) }
    }

    @Test func `an encoder kept beyond its value is refused`() throws {
        var kept: KeyedEncodingContainer<AnyKey>?
        let message = try bytes(of: Scripted<Never> { kept = $0.container(keyedBy: AnyKey.self) })
        #expect(throws: WireCodingError.self) { try kept?.encode(1, forKey: "late") }
        #expect(!message.isEmpty)
    }

    @Test func `a value that asks for two kinds of containers is an error, not a crash`() {
        #expect(throws: WireCodingError.self) {
            try bytes(
                of: Scripted<Never> { encoder in
                    _ = encoder.unkeyedContainer()
                    _ = encoder.container(keyedBy: AnyKey.self)
                }
            )
        }
        #expect(throws: WireCodingError.self) {
            try bytes(
                of: Scripted<Never> { encoder in
                    var container = encoder.singleValueContainer()
                    try container.encode(1)
                    try container.encode(2)
                }
            )
        }
    }
}

extension Mixed {
    /// Keys of another type for the same container.
    enum Keys: CodingKey {
        case a
    }
}
