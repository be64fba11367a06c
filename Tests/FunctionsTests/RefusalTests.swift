// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import Synchronization
import Testing

/// What cannot travel is named as in source, with the reason and the cure.
@Suite(.timeLimit(.minutes(10)))
struct RefusalTests {
    /// Expects an error of that kind that names `type` and says each of `words`, and nothing of how names are mangled.
    private func refuses<R: Portable>(
        _ type: String?,
        _ words: String...,
        code: FunctionNotPortable.Code = .captureNotCodable,
        at location: SourceLocation = #_sourceLocation,
        _ body: @escaping @Sendable () throws -> R
    ) {
        let error = #expect(throws: FunctionNotPortable.self, sourceLocation: location) {
            try Travel.bytes(of: PortableFunction(closure: body))
        }
        check(error, type, words, code, location)
    }

    private func refusesAsync<R: Portable>(
        _ type: String?,
        _ words: String...,
        at location: SourceLocation = #_sourceLocation,
        _ body: @escaping @Sendable () async throws -> R
    ) {
        let error = #expect(throws: FunctionNotPortable.self, sourceLocation: location) {
            try Travel.bytes(of: PortableFunction(closure: body))
        }
        check(error, type, words, .captureNotCodable, location)
    }

    private func check(
        _ error: FunctionNotPortable?,
        _ type: String?,
        _ words: [String],
        _ code: FunctionNotPortable.Code,
        _ location: SourceLocation
    ) {
        let description = error?.description ?? ""
        #expect(error?.code == code, "\(description)", sourceLocation: location)
        // Of a type that the runtime has, the name is without its module.
        let isNamed = error?.typeName == type || type.map { error?.typeName?.hasSuffix(".\($0)") == true } == true
        #expect(
            isNamed,
            "\(error?.typeName ?? "nil") is not \(type ?? "nil"): \(description)",
            sourceLocation: location
        )
        for word in words + (type.map { [$0] } ?? []) {
            #expect(description.contains(word), "\(description) without \(word)", sourceLocation: location)
        }
        for word in ["_Xx", "mangled", "callee_guaranteed", "kind"] {
            #expect(!description.contains(word), "\(description)", sourceLocation: location)
        }
    }

    @Test func `a variable beside other captures is refused by its type`() {
        let number = opaque(3)
        nonisolated(unsafe) var count = opaque(1)
        refuses("Int", "variable", "`[x]`") {
            count += number
            return count
        }
        nonisolated(unsafe) var table = [opaque("a"): [opaque(1)]]
        refuses("Dictionary<String, Array<Int>>", "variable") {
            table["b"] = [number]
            return table.count
        }
        nonisolated(unsafe) var rectangle = Rectangle(width: opaque(1), height: 2)
        refuses("Rectangle", "variable") {
            rectangle.width += number
            return rectangle.width
        }
        #expect(count + table.count + rectangle.width == 3)
    }

    @Test func `a mutex or an atomic is refused as what cannot be copied`() {
        let number = opaque(3)
        let mutex = Mutex(opaque(1))
        refuses("Mutex<Int>", "cannot be copied", "Lock") { mutex.withLock { $0 } }
        refuses("Mutex<Int>", "cannot be copied", "Lock") { mutex.withLock { $0 + number } }
        let table = Mutex([opaque("a"): opaque(1)])
        refuses("Mutex<Dictionary<String, Int>>", "cannot be copied") { table.withLock { $0.count + number } }
        let atomic = Atomic(opaque(1))
        refuses("Atomic<Int>", "cannot be copied") { atomic.load(ordering: .relaxed) + number }
    }

    @Test func `a type of one's own that cannot be copied is refused as such`() {
        let number = opaque(3)
        let token = Token(number: opaque(1))
        refuses("Token", "cannot be copied") { token.read() }
        refuses("Token", "cannot be copied") { token.read() + number }
    }

    @Test func `a task is refused, and its cure is to await it`() async {
        let number = opaque(3)
        let task = Task { number }
        refusesAsync("Task", "await it before") { await task.value }
        refusesAsync("Task<Int, Never>", "await it before") { await task.value + number }
        let maybe: Task<Int, Never>? = opaque(task)
        refusesAsync("Task<Int, Never>", "await it before") { (await maybe?.value ?? 0) + number }
        _ = await task.value
    }

    @Test func `a function within another value is refused, and its cure is to capture it by itself`() {
        let number = opaque(3)
        let pair: (@Sendable (Int) -> Int, Int) = opaque((square, 3))
        refuses("(@Sendable (Int) -> (Int), Int)", "function", "by itself") { pair.0(pair.1) }
        let list: [@Sendable (Int) -> Int] = opaque([square])
        refuses("@Sendable (Int) -> Int", "Array<", "each function by itself") { list[0](number) }
        refuses("@Sendable (Int) -> Int", "Array<", "each function by itself") { list[0](4) }
    }

    @Test func `what keeps a collection or an optional from travelling is named`() {
        let number = opaque(3)
        keep(Opaque?.self, [OpaqueValue].self)
        let maybe: Opaque? = opaque(Opaque())
        refuses("Opaque", "Optional<Opaque>", "make Opaque Codable") { (maybe?.value ?? 0) + number }
        let values = [OpaqueValue(value: opaque(1), text: "t")]
        refuses("OpaqueValue", "Array<OpaqueValue>", "make OpaqueValue Codable") { values.count + number }
        refuses("OpaqueValue", "Array<OpaqueValue>", "make OpaqueValue Codable") { values.count }
    }

    @Test func `an address is refused: it means nothing in another process`() {
        let number = opaque(3)
        nonisolated(unsafe) let pointer = opaque(UnsafeRawPointer(bitPattern: 4096))  // safe because it is not followed
        refuses("UnsafeRawPointer", "another process", "SharedMemory") {
            number + (pointer.map { Int(bitPattern: $0) } ?? 0)
        }
    }

    @Test func `a weak or unowned reference is refused by the type of its object`() {
        let number = opaque(3)
        let account = Account(owner: "C", balance: opaque(1))
        weak let reference = account
        refuses("Optional<FunctionsTests.Account>", "weak") { (reference?.balance ?? 0) + number }
        refuses("Account", "unowned") { [unowned account] in account.balance + number }
        withExtendedLifetime(account) {}
    }

    @Test func `a function of C is refused with its cure`() {
        let absolute = functionOfC(CommandLine.argc > 0)
        let number = -CommandLine.argc
        refuses(nil, "function of C", "inside the closure") { absolute(number) }
    }
}

/// Makes sure that the program keeps the metadata of types.
@inline(never)
private func keep(_ types: any Any.Type...) {
    #expect(types.allSatisfy { !"\($0)".isEmpty })
}

/// Cannot be copied.
private struct Token: ~Copyable, Sendable {
    let number: Int

    borrowing func read() -> Int { number }
}
