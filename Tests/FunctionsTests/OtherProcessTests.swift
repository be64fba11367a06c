// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// Functions of every kind in processes that loaded the program elsewhere: a pointer that was sent for a place in an image would show.
@Suite(.timeLimit(.minutes(30)))
struct OtherProcessTests {
    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `every kind of function does the same in another process`(_ method: StartMethod) async throws {
        let count = try await ChildProcess.run { () async throws -> Int in
            StartMethod.default = method
            try await checkFunctions()
            try await checkCaptures()
            try await checkGenericCaptures()
            return getCount()
        }
        #expect(count == 32)
    }

    @Test func `what this process cannot send it cannot send to any`() async {
        let opaque = Opaque()
        await #expect(throws: FunctionNotPortable.self) { try await ChildProcess.run { opaque.value } }
    }
}

/// How many results were compared in this process.
private nonisolated(unsafe) var count = 0  // safe because one task counts

private func getCount() -> Int { count }

private func expect<T: Equatable>(_ actual: T, _ expected: T, line: Int = #line) throws {
    count += 1
    guard actual == expected else { throw Unexpected(description: "line \(line): \(actual) is not \(expected)") }
}

private func checkFunctions() async throws {
    try expect(try await ChildProcess.run(target: square, arguments: 7), 49)
    try expect(try await ChildProcess.run(target: Math.cube, arguments: 3), 27)
    try expect(try await ChildProcess.run(target: privateFunction, arguments: "x", 2), "hello x hello x")
    try expect(
        try await ChildProcess.run(target: joined, arguments: 1, "b", 2.5, true, [3, 4], Int?.none),
        "1 b 2.5 true [3, 4] nil"
    )
    try expect(try await ChildProcess.run(target: slowSum, arguments: 3, 4), 7)
    let rectangle = Rectangle(width: 3, height: 4)
    try expect(try await ChildProcess.run(target: rectangle.area(times:), arguments: 2), 24)
    try expect(try await ChildProcess.run(target: adder(2.5), arguments: 1.5), 4)
    let lowercased: @Sendable (String) -> String = { $0.lowercased() }
    try expect(try await ChildProcess.run(target: lowercased, arguments: "ABC"), "abc")
    let account = Account(owner: "Ann", balance: 21)
    try expect(try await ChildProcess.run(account.doubled), 42)
}

private func checkCaptures() async throws {
    let number = 5
    let text = "a text that is too long to lie in the string itself"
    let rectangle = Rectangle(width: 1, height: 2)
    let shape = Shape.square(rectangle)
    let add: @Sendable (Int) -> Int = { $0 + number }
    try expect(try await ChildProcess.run { rectangle.width + text.count + add(number) }, 1 + text.count + 10)
    try expect(try await ChildProcess.run { await slowSum(number, text.count) }, 5 + text.count)
    let table = ["a": 1, "b": 2]
    let (list, set) = ([1, 2, 3].map { $0 * 2 }, Set([3, 4]))
    try expect(try await ChildProcess.run { "\(table["b"] ?? 0) \(list) \(set.sorted())" }, "2 [2, 4, 6] [3, 4]")
    try expect(try await ChildProcess.run { list }, [2, 4, 6])
    try expect(try await ChildProcess.run { set.count }, 2)
    try expect(try await ChildProcess.run { shape }, .square(rectangle))
    let animal: Animal = Dog(name: "Rex")
    try expect(try await ChildProcess.run { animal.sound() }, "Rex says woof")
    let accounts = (1...3).map { Account(owner: "owner \($0)", balance: $0) }
    try expect(try await ChildProcess.run { accounts.map(\.owner).joined() }, "owner 1owner 2owner 3")
    let constant = [1, 2, 3]
    try expect(try await ChildProcess.run { constant.count }, 3)
    do {
        _ = try await ChildProcess.run { () throws -> Int in throw Failure(code: number) }
    } catch let error as Failure { try expect(error, Failure(code: 5)) }
}

private func checkGenericCaptures() async throws {
    try expect(try await ChildProcess.run(constantly(Rectangle(width: 2, height: 3))), Rectangle(width: 2, height: 3))
    try expect(try await ChildProcess.run(constantly(["a": 1])), ["a": 1])
    let described = describers([1], [1: 2.5], nil)
    try expect(try await ChildProcess.run(described[0]), described[0]())
    try expect(try await ChildProcess.run(described[1]), described[1]())
    let ofGenericTypes =
        Shelf(item: opaque("book")).describers(opaque(3))
        + Register(entries: [opaque("a"): opaque(1.5)]).describers(with: [Rectangle(width: 1, height: opaque(2))])
    for describe in ofGenericTypes { try expect(try await ChildProcess.run(describe), describe()) }
    for maybe in [adder(opaque(2)), nil] as [(@Sendable (Int) -> Int)?] {
        try expect(try await ChildProcess.run { maybe?(5) ?? -1 }, maybe?(5) ?? -1)
    }
}
