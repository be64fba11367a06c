// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

@Suite(.timeLimit(.minutes(30)))
struct PortableFunctionTests {
    // MARK: - Functions

    @Test func `global, static and private functions travel`() throws {
        #expect(try Travel.function(square, 7) == 49)
        #expect(try Travel.function(Math.cube, 3) == 27)
        #expect(try Travel.function(privateFunction, "x", 2) == "hello x hello x")
        #expect(try Travel.function({ (n: Int) in -n }, 5) == -5)
    }

    @Test func `a function of many parameters gets each of them`() throws {
        #expect(try Travel.function(joined, 1, "b", 2.5, true, [3, 4], nil) == "1 b 2.5 true [3, 4] nil")
        #expect(try Travel.function(joined, 1, "b", 2.5, false, [], 9) == "1 b 2.5 false [] Optional(9)")
    }

    @Test func `functions of the standard library travel`() throws {
        #expect(try Travel.function({ abs($0) } as @Sendable (Int) -> Int, -3) == 3)
        let lowercased: @Sendable (String) -> String = { $0.lowercased() }
        #expect(try Travel.function(lowercased, "ABC") == "abc")
    }

    @Test func `methods travel with the value they are bound to`() throws {
        let rectangle = Rectangle(width: 3, height: 4)
        #expect(try Travel.function(rectangle.area(times:), 2) == 24)
        let account = Account(owner: "Ann", balance: 21)
        #expect(try Travel.closure(account.doubled) == 42)
        #expect(try Travel.closure { rectangle.largest } == 4)
    }

    @Test func `asynchronous functions travel`() async throws {
        var arguments = WireWriter()
        try WireCoding.encode(3, into: &arguments, userInfo: [:])
        try WireCoding.encode(4, into: &arguments, userInfo: [:])
        let call = try Travel.call(Travel.bytes(of: PortableFunction(slowSum)), arguments.withUnsafeBytes { Array($0) })
        #expect(try await Travel.asyncResult(call) == 7)

        let offset = 10
        let text = "abc"
        let closure = try Travel.call(
            Travel.bytes(of: PortableFunction { () async -> Int in await slowSum(offset, text.count) })
        )
        #expect(try await Travel.asyncResult(closure) == 13)
        let named = try Travel.call(
            Travel.bytes(of: PortableFunction(closure: { () async throws -> String in text + "d" }))
        )
        #expect(try await Travel.asyncResult(named) == "abcd")
    }

    @Test func `functions without a result travel`() async throws {
        let code = 5
        guard
            case .sync(let body) = try Travel.call(
                Travel.bytes(of: PortableFunction(action: { throw Failure(code: code) }))
            )
        else {
            throw Travel.Unexpected()
        }
        #expect(throws: Failure(code: 5)) { _ = try body() }
        guard
            case .async(let later) = try Travel.call(
                Travel.bytes(of: PortableFunction(action: { () async throws in throw Failure(code: code) }))
            )
        else {
            throw Travel.Unexpected()
        }
        await #expect(throws: Failure(code: 5)) { _ = try await later() }
    }

    @Test func `an error thrown there is thrown here`() throws {
        let code = 3
        #expect(throws: Failure(code: 3)) { try Travel.closure { () throws -> Int in throw Failure(code: code) } }
    }

    // MARK: - Captures

    @Test func `values of every kind are captured`() throws {
        let number = 41
        let text = "a text that is too long to lie in the string itself"
        let list = [1, 2, 3]
        let table = ["a": 1, "b": 2]
        let set: Set = [3, 4]
        let rectangle = Rectangle(width: 2, height: 5)
        let shape = Shape.square(rectangle)
        let maybe: Int? = 6
        let nothing: Rectangle? = nil
        let range = 1..<4
        #expect(
            try Travel.closure {
                "\(number + 1) \(text.count) \(list.count) \(table["b"] ?? 0) \(set.sorted()) \(rectangle.height) \(shape == .square(rectangle)) "
                    + "\(maybe ?? 0) \(nothing == nil) \(range.count)"
            } == "42 51 3 2 [3, 4] 5 true 6 true 3"
        )
    }

    @Test func `a single capture of each kind arrives`() throws {
        let number = 7
        #expect(try Travel.closure { number } == 7)
        let small: Int8 = -3
        #expect(try Travel.closure { small } == -3)
        let text = "a text that is too long to lie in the string itself"
        #expect(try Travel.closure { text } == text)
        let list = [5, 6].map { $0 * 2 }
        #expect(try Travel.closure { list } == [10, 12])
        let words = ["one", "two"].map { $0 + "!" }
        #expect(try Travel.closure { words.joined() } == "one!two!")
        let empty: [String] = []
        #expect(try Travel.closure { empty } == [])
        let table = [1: "x", 2: "y"].mapValues { $0 + $0 }
        #expect(try Travel.closure { table[2] ?? "" } == "yy")
        let set = Set(list.map { $0 + 1 })
        #expect(try Travel.closure { set.sorted() } == [11, 13])
        let emptyTable: [String: Int] = [:]
        #expect(try Travel.closure { emptyTable.count } == 0)
        let nested = [[1], [2, 3]].map { $0 + [0] }
        #expect(try Travel.closure { nested } == [[1, 0], [2, 3, 0]])
        let accounts = (1...3).map { Account(owner: "owner \($0)", balance: $0) }
        #expect(try Travel.closure { accounts.map(\.owner).joined() } == "owner 1owner 2owner 3")
        let groups = [accounts, []].map { $0 }
        #expect(try Travel.closure { groups[0][1].balance + groups.count } == 4)
    }

    @Test func `constant arrays arrive`() throws {
        let list = [1, 2, 3]
        #expect(try Travel.closure { list.count } == 3)
        #expect(try Travel.function({ list[$0] }, 1) == 2)
    }

    @Test func `objects arrive as what they are`() throws {
        let account = Account(owner: "Bea", balance: 4)
        #expect(try Travel.closure { account.owner } == "Bea")
        let animal: Animal = Dog(name: "Rex")
        #expect(try Travel.closure { animal.sound() } == "Rex says woof")
        let number = 2
        #expect(try Travel.closure { "\(animal.sound()) \(number)" } == "Rex says woof 2")
    }

    @Test func `tuples and optionals of values arrive`() throws {
        let pair = (3, "three")
        let triple = (a: 1.5, b: Rectangle(width: 1, height: 2), c: [UInt8(1)])
        let optional: (Int?, String?) = (nil, "x")
        #expect(
            try Travel.closure {
                "\(pair.0) \(pair.1) \(triple.a) \(triple.b.height) \(triple.c.count) \(optional.0 ?? -1) \(optional.1 ?? "")"
            } == "3 three 1.5 2 1 -1 x"
        )
    }

    @Test func `closures capture functions and other closures`() throws {
        let offset = 100
        let add: @Sendable (Int) -> Int = { $0 + offset }
        let twice: @Sendable (Int) -> Int = { add(add($0)) }
        #expect(try Travel.function({ twice($0) + square(2) }, 1) == 205)
        let operation: @Sendable (Int) -> Int = square
        #expect(try Travel.closure { operation(9) } == 81)
    }

    @Test func `a captured tuple with a function in it is refused`() throws {
        let functions: (@Sendable (Int) -> Int, Int) = (square, 3)
        #expect(throws: FunctionNotPortable.self) { try Travel.closure { functions.0(functions.1) } }
    }

    @Test func `values of differing sizes keep their places`() throws {
        let a: UInt8 = 1
        let b: UInt64 = 2
        let c = true
        let d: Float = 4
        let e = "five"
        let f: Int16 = 6
        let g: Rectangle? = Rectangle(width: 7, height: 8)
        #expect(try Travel.closure { "\(a)\(b)\(c)\(d)\(e)\(f)\(g?.height ?? 0)" } == "12true4.0five68")
    }

    @Test func `closures made in generic code travel`() throws {
        #expect(try Travel.function(adder(5), 6) == 11)
        #expect(try Travel.function(adder(0.5), 1.0) == 1.5)
        #expect(try Travel.closure(constantly("text")) == "text")
        #expect(try Travel.closure(constantly(Rectangle(width: 1, height: 9))).height == 9)
    }

    @Test func `types are captured`() throws {
        let type: any (Codable & Sendable).Type = Rectangle.self
        #expect(try Travel.closure { "\(type)" } == "Rectangle")
    }

    // MARK: - Types

    private struct Hidden: Codable, Sendable, Equatable {
        var value: Int
    }

    private enum Secret: Codable, Sendable {
        case known(Hidden)
    }

    @Test func `private and local types are arguments and results`() throws {
        struct Local: Codable, Sendable {
            var items: [Hidden]
        }
        #expect(
            try Travel.function({ (hidden: Hidden) in Hidden(value: hidden.value + 1) }, Hidden(value: 1))
                == Hidden(value: 2)
        )
        let result = try Travel.function(
            { (local: Local, more: [Hidden?]) in Local(items: local.items + more.compactMap { $0 }) },
            Local(items: [Hidden(value: 1)]),
            [nil, Hidden(value: 2)]
        )
        #expect(result.items == [Hidden(value: 1), Hidden(value: 2)])
        let table = try Travel.function({ (key: String) in [key: Secret.known(Hidden(value: 3))] }, "k")
        guard case .known(let hidden) = table["k"] else { throw Travel.Unexpected() }
        #expect(hidden.value == 3)
    }

    @Test func `closures made in generic code carry collections of what it is generic over`() throws {
        let here = describers(["a", "b"], ["c": 4.5], 2.5) + describers([1, 2], [3: "x"], nil)
        for describe in here { #expect(try Travel.closure(describe) == describe()) }
    }

    @Test func `a struct around a class travels beside others, and alone is refused with its cure`() throws {
        let wrapped = Wrapped()
        let number = 4
        #expect(try Travel.closure { wrapped.value + number } == 5)
        #expect(try Travel.function({ (wrapped: Wrapped) in wrapped.value }, wrapped) == 1)
        let error = #expect(throws: FunctionNotPortable.self) { try Travel.closure { wrapped.value } }
        #expect(error?.code == .captureNotCodable)
        #expect(error?.description.contains("pass it as an argument") == true, "\(error?.description ?? "")")
    }

    @Test func `generic types over private types are arguments and results`() throws {
        struct Box<Content: Codable & Sendable & Hashable>: Codable, Sendable {
            var content: [Content: Set<Content>]
        }
        struct Key: Codable, Sendable, Hashable {
            var name: String
        }
        let box = Box(content: [Key(name: "a"): [Key(name: "b")]])
        #expect(try Travel.function({ (box: Box<Key>) in box.content[Key(name: "a")]?.first?.name ?? "" }, box) == "b")
    }

    @Test func `a local type is captured where its metadata is kept`() throws {
        struct Local: Codable, Sendable {
            var text: String
        }
        let local = Local(text: "here")
        // Encoding it anywhere keeps the metadata in release builds.
        var writer = WireWriter()
        try WireCoding.encode([local], into: &writer, userInfo: [:])
        #expect(try Travel.closure { local.text } == "here")
    }

    // MARK: - What cannot travel

    @Test func `a capture of any type of a protocol is refused, and its cure is a concrete type`() throws {
        let problem: any Error = Travel.Unexpected()
        let first = #expect(throws: FunctionNotPortable.self) { try Travel.closure { "\(problem)" } }
        #expect(first?.description.contains("an error of a concrete type") == true, "\(first?.description ?? "")")
        let (any, number): (any Sendable, Int) = (7, 3)
        let second = #expect(throws: FunctionNotPortable.self) { try Travel.closure { "\(any) \(number)" } }
        #expect(
            second?.description.contains("capture a value of a concrete type") == true,
            "\(second?.description ?? "")"
        )
    }

    @Test func `a type captured as any type of a protocol has its witnesses`() throws {
        let (type, number): (any Named.Type, Int) = (First.self, 3)
        #expect(try Travel.closure { type.name } == "first")
        #expect(try Travel.closure { "\(type.name) \(number)" } == "first 3")
        let pair: (any Named.Type, any Named.Type) = (First.self, Second.self)
        #expect(try Travel.closure { pair.0.name + pair.1.name + "\(number)" } == "firstsecond3")
    }

    @Test func `a function of C is refused: it is one word, not two`() throws {
        let (absolute, number) = (functionOfC(CommandLine.argc > 0), -CommandLine.argc)
        #expect(throws: FunctionNotPortable.self) { try Travel.closure { absolute(number) } }
        #expect(throws: FunctionNotPortable.self) { try Travel.closure { absolute(-4) } }
    }

    @Test func `a value of an associated type in generic code arrives or is refused, and does not end the program`()
        throws
    {
        func first<S: Sequence & Sendable>(_ sequence: S) throws -> S.Element?
        where S.Element: Codable & Sendable {
            guard let first = sequence.first(where: { _ in true }) else { return nil }
            do {
                return try Travel.closure { [first] }.first
            } catch is FunctionNotPortable {
                return first
            }
        }
        #expect(try first([7, 8]) == 7)
        #expect(try first(["a"]) == "a")
    }

    @Test func `a capture that is not Codable is named in the caller`() throws {
        let opaque = Opaque()
        let error = #expect(throws: FunctionNotPortable.self) { try Travel.closure { opaque.value } }
        #expect(error?.description.contains("Opaque") == true)
        #expect(error?.code == .captureNotCodable || error?.code == .captureTypeUnknown)

        let value = OpaqueValue()
        let number = 3
        let second = #expect(throws: FunctionNotPortable.self) {
            try Travel.closure { value.value + value.text.count + number }
        }
        #expect(second?.description.contains("OpaqueValue") == true)
    }

    @Test func `a closure made in code that is generic over a pack travels or is refused`() throws {
        do {
            #expect(try Travel.closure(counter(1, "two", [3])) == 7)
        } catch let error as FunctionNotPortable {
            #expect(error.code == .captureTypeUnknown)
        }
    }

    @Test func `a weak capture is refused`() throws {
        let account = Account(owner: "C", balance: 1)
        weak let reference = account
        let error = #expect(throws: FunctionNotPortable.self) { try Travel.closure { reference?.balance ?? 0 } }
        #expect(error?.description.contains("weak") == true)
        withExtendedLifetime(account) {}
    }

    @Test func `a value whose encoding throws is told in the caller`() throws {
        struct Stubborn: Codable, Sendable {
            var value = 0
            func encode(to encoder: any Encoder) throws { throw Failure(code: 9) }
        }
        let stubborn = [Stubborn()].map { $0 }
        let error = #expect(throws: FunctionNotPortable.self) { try Travel.closure { stubborn.count } }
        #expect(error?.code == .valueNotEncodable)
    }
}

/// What only a witness can tell of a type.
private protocol Named: Codable, Sendable {
    static var name: String { get }
}

private struct First: Named {
    static var name: String { "first" }
}

private enum Second: Named {
    case only
    static var name: String { "second" }
}

/// A function that nobody knows when the program is compiled, so that it is captured.
@inline(never)
func functionOfC(_ isAbsolute: Bool) -> @convention(c) @Sendable (Int32) -> Int32 {
    let absolute: @convention(c) @Sendable (Int32) -> Int32 = { $0 < 0 ? -$0 : $0 }
    let same: @convention(c) @Sendable (Int32) -> Int32 = { $0 }
    return isAbsolute ? absolute : same
}
