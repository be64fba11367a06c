// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

/// Damaged functions: an error each time, never a jump.
@Suite(.timeLimit(.minutes(10)))
struct CorruptionTests {
    /// Functions of several shapes, as bytes.
    private static func samples() throws -> [[UInt8]] {
        let number = 5
        let text = "a text that is too long to lie in the string itself"
        let rectangle = Rectangle(width: 1, height: 2)
        let add: @Sendable (Int) -> Int = { $0 + number }
        return [
            try Travel.bytes(of: PortableFunction(square)),
            try Travel.bytes(of: PortableFunction(joined)),
            try Travel.bytes(of: PortableFunction(slowSum)),
            try Travel.bytes(of: PortableFunction(closure: { rectangle.width + text.count + add(number) })),
            try Travel.bytes(of: PortableFunction(rectangle.area(times:))),
            try Travel.bytes(of: PortableFunction(adder(2.5))),
        ]
    }

    @Test func `a function of another build is refused`() throws {
        for var bytes in try Self.samples() {
            bytes[3] ^= 1
            let error = #expect(throws: FunctionNotPortable.self) { try Travel.call(bytes) }
            #expect(error?.code == .otherBuild)
        }
    }

    @Test func `a reference taken from another message is refused`() throws {
        let bytes = try Travel.bytes(of: PortableFunction(square))
        let other = try Travel.bytes(of: PortableFunction { (n: Int) -> String in "\(n)" })
        // The tail of one (its code) behind the head of the other (its types).
        for cut in 10..<min(bytes.count, other.count) where bytes[..<cut] != other[..<cut] {
            _ = #expect(throws: (any Error).self) { try Travel.call(Array(bytes[..<cut] + other[cut...])) }
        }
    }

    @Test func `a function cut off anywhere is refused`() throws {
        for bytes in try Self.samples() {
            for count in 0..<bytes.count {
                #expect(throws: (any Error).self) { try Travel.call(Array(bytes.prefix(count))) }
            }
        }
    }

    @Test func `random damage gives an error or leaves the function whole`() throws {
        var random = Seeded(seed: 42)
        let samples = try Self.samples()
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = samples[Int.random(in: 0..<samples.count, using: &random)]
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            // Damage to a captured value may give another value; a damaged reference or type never passes. The function is not called: its value may be any.
            do { _ = try Travel.call(bytes) } catch { refused += 1 }
        }
        #expect(refused > 10_000)
    }

    @Test func `random bytes are refused`() throws {
        var random = Seeded(seed: 7)
        let head = Array(try Travel.bytes(of: PortableFunction(square)).prefix(8))
        for _ in 0..<20_000 {
            let noise = (0..<Int.random(in: 0..<64, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(throws: (any Error).self) { try Travel.call(noise) }
            #expect(throws: (any Error).self) { try Travel.call(head + noise) }
        }
    }
}

/// Numbers that are the same in each run (splitmix64; see `ReferenceHash` in the sources for its origin).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
