// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

/// Optional functions that closures capture.
@Suite(.timeLimit(.minutes(10)))
struct OptionalFunctionTests {
    /// Functions that capture something or nothing, or are nil, by a number that nobody knows when the program is compiled.
    @inline(never)
    private func choose(_ number: Int, _ offset: Int) -> (@Sendable (Int) -> Int)? {
        switch number {
        case 0: nil
        case 1: square
        default: { $0 + offset }
        }
    }

    @Test func `an optional function arrives, alone and beside others`() throws {
        let (offset, text) = (opaque(10), opaque("text"))
        for number in 0..<3 {
            let function = choose(opaque(number), offset)
            let expected = function?(7) ?? -1
            #expect(expected == [-1, 49, 17][number])
            #expect(try Travel.closure { function?(7) ?? -1 } == expected)
            #expect(try Travel.closure { "\(function?(7) ?? -1) \(text)" } == "\(expected) text")
            #expect(try Travel.closure { "\(text) \(function?(7) ?? -1)" } == "text \(expected)")
            #expect(try Travel.function({ (function?($0) ?? -1) + offset }, 7) == expected + offset)
        }
    }

    @inline(never)
    private func wrap(_ number: Int) -> (@Sendable () -> Int)??? {
        let offset = number * 10
        switch number {
        case 0: return nil
        case 1: return .some(nil)
        case 2: return .some(.some(nil))
        default: return { offset }
        }
    }

    @Test func `each nil of an optional in an optional stays the one it is`() throws {
        @Sendable func describe(_ function: (@Sendable () -> Int)???) -> String {
            switch function {
            case nil: "outer"
            case .some(nil): "middle"
            case .some(.some(nil)): "inner"
            case .some(.some(.some(let function))): "\(function())"
            }
        }
        let (number, expected) = (opaque(5), ["outer", "middle", "inner", "30"])
        for (index, text) in expected.enumerated() {
            let function = wrap(opaque(index))
            #expect(try Travel.closure { describe(function) } == text)
            #expect(try Travel.closure { describe(function) + " \(number)" } == text + " 5")
        }
    }

    @inline(never)
    private func sum(_ isThere: Bool) -> (@Sendable (Int, Int) async throws -> Int)? { isThere ? slowSum : nil }

    @Test func `an optional asynchronous function arrives`() async throws {
        let number = opaque(4)
        for isThere in [true, false] {
            let function = sum(opaque(isThere))
            let bytes = try Travel.bytes(
                of: PortableFunction(closure: { () async throws in try await function?(number, 3) ?? -1 })
            )
            #expect(try await Travel.asyncResult(Travel.call(bytes)) == (isThere ? 7 : -1))
        }
    }

    @inline(never)
    private func maybe<Value: Codable & Sendable>(_ value: Value, _ isThere: Bool) -> (@Sendable () -> Value)? {
        guard isThere else { return nil }
        return { value }
    }

    @Test func `an optional function of generic code arrives`() throws {
        func closures<Value: Codable & Sendable>(_ value: Value, _ isThere: Bool) -> [@Sendable () -> String] {
            let function = maybe(value, isThere)
            return [{ "\(function?() ?? value)" }, { function == nil ? "nil" : "\(value)" }]
        }
        for isThere in [true, false] {
            for closure in closures(opaque("v"), isThere) + closures(opaque(8), isThere) {
                #expect(try Travel.closure(closure) == closure())
            }
        }
    }

    @Test func `an optional function cut off anywhere, or with another tag, is refused`() throws {
        for number in 0..<3 {
            let function = choose(opaque(number), opaque(10))
            let bytes = try Travel.bytes(of: PortableFunction(closure: { function?(7) ?? -1 }))
            for count in 0..<bytes.count {
                #expect(throws: (any Error).self) { try Travel.call(Array(bytes.prefix(count))) }
            }
            // But for the captured number of the last, there is nothing in it that may change unseen.
            guard number < 2 else { continue }
            for index in bytes.indices {
                for change: UInt8 in [1, 2, 0x80, 0xff] {
                    var damaged = bytes
                    damaged[index] ^= change
                    #expect(throws: (any Error).self, "byte \(index)") { try Travel.call(damaged) }
                }
            }
        }
    }
}
