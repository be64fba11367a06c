// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

/// A function as bytes, with sound arguments for it.
private struct Sample {
    let function: [UInt8]
    let arguments: [UInt8]
    /// Whether there is nothing in it but references and their checks, so that no change of a byte can go unnoticed.
    let isAllReferences: Bool
    /// Makes the call and tells whether its result is right.
    let isRight: (BoundCall) async throws -> Bool

    init<each A: Portable, R: Portable & Equatable>(
        _ function: PortableFunction,
        _ arguments: repeat each A,
        is result: R,
        isAllReferences: Bool = false
    ) throws {
        self.function = try Travel.bytes(of: function)
        var writer = WireWriter()
        repeat try WireCoding.encode(each arguments, into: &writer, userInfo: [:])
        self.arguments = writer.withUnsafeBytes { Array($0) }
        self.isAllReferences = isAllReferences
        isRight = { call in
            switch call {
            case .sync: try Travel.result(call) == result
            case .async: try await Travel.asyncResult(call) == result
            }
        }
    }

    /// Functions of several shapes.
    static func all() throws -> [Sample] {
        let number = 5
        let text = "a text that is too long to lie in the string itself"
        let rectangle = Rectangle(width: 1, height: 2)
        let add: @Sendable (Int) -> Int = { $0 + number }
        return [
            try Sample(PortableFunction(square), 7, is: 49, isAllReferences: true),
            try Sample(
                PortableFunction(joined),
                1,
                "b",
                2.5,
                true,
                [3],
                Int?.none,
                is: joined(1, "b", 2.5, true, [3], nil),
                isAllReferences: true
            ),
            try Sample(PortableFunction(slowSum), 3, 4, is: 7, isAllReferences: true),
            try Sample(
                PortableFunction(closure: { rectangle.width + text.count + add(number) }),
                is: 1 + text.count + 10
            ),
            try Sample(PortableFunction(rectangle.area(times:)), 3, is: 6),
            try Sample(PortableFunction(adder(2.5)), 1.5, is: 4.0),
        ]
    }

    /// Decodes the function of these bytes, and the sound arguments for it.
    func call(_ bytes: [UInt8]) throws -> BoundCall { try Travel.call(bytes, arguments) }
}

/// Damaged functions: an error each time, never a jump.
@Suite(.timeLimit(.minutes(30)))
struct CorruptionTests {
    @Test func `without damage every sample can be called`() async throws {
        for sample in try Sample.all() {
            #expect(try await sample.isRight(sample.call(sample.function)))
        }
    }

    @Test func `a function of another build is refused`() throws {
        for sample in try Sample.all() {
            var bytes = sample.function
            bytes[3] ^= 1
            let error = #expect(throws: FunctionNotPortable.self) { try sample.call(bytes) }
            #expect(error?.code == .otherBuild)
        }
    }

    @Test func `a reference taken from another message is refused`() throws {
        let argument = try Sample(PortableFunction(square), 7, is: 49)
        let bytes = argument.function
        let other = try Travel.bytes(of: PortableFunction { (n: Int) -> String in "\(n)" })
        // The tail of one (its code) behind the head of the other (its types).
        for cut in 10..<min(bytes.count, other.count) {
            let mixed = Array(bytes[..<cut] + other[cut...])
            guard !mixed.starts(with: bytes), !mixed.starts(with: other) else { continue }
            _ = #expect(throws: (any Error).self, "cut at \(cut): \(bytes) and \(other)") { try argument.call(mixed) }
        }
    }

    @Test func `a function cut off anywhere is refused`() throws {
        for sample in try Sample.all() {
            for count in 0..<sample.function.count {
                #expect(throws: (any Error).self) { try sample.call(Array(sample.function.prefix(count))) }
            }
        }
    }

    @Test func `arguments cut off anywhere are refused`() throws {
        for sample in try Sample.all() {
            for count in 0..<sample.arguments.count {
                #expect(throws: (any Error).self) {
                    try Travel.call(sample.function, Array(sample.arguments.prefix(count)))
                }
            }
        }
    }

    @Test func `random damage gives an error or leaves the function whole, for little memory`() async throws {
        try await withLittleMemory {
            var random = Seeded(seed: 42)
            let samples = try Sample.all()
            var (refused, changed) = (0, 0)
            for _ in 0..<20_000 {
                let sample = samples[Int.random(in: 0..<samples.count, using: &random)]
                var bytes = sample.function
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                guard bytes != sample.function else { continue }
                changed += 1
                // Damage to a captured value may give another value; a damaged reference or type never passes. The function is not called: its value may be any.
                do {
                    _ = try sample.call(bytes)
                    if sample.isAllReferences { throw Unexpected(description: "damage went unnoticed: \(bytes)") }
                } catch let error as Unexpected { throw error } catch { refused += 1 }
            }
            guard changed > 19_000, refused > changed * 3 / 4 else {
                throw Unexpected(description: "only \(refused) of \(changed) were refused")
            }
        }
    }

    @Test func `random bytes are refused, for little memory`() async throws {
        try await withLittleMemory {
            var random = Seeded(seed: 7)
            let sound = try Sample(PortableFunction(square), 7, is: 49)
            for _ in 0..<20_000 {
                let noise = (0..<Int.random(in: 0..<64, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                // Noise alone, and behind more and more of what is sound.
                for kept in [0, 8, 9, 10, 16] {
                    guard (try? sound.call(Array(sound.function.prefix(kept)) + noise)) != nil else { continue }
                    throw Unexpected(description: "noise behind \(kept) bytes passed: \(noise)")
                }
            }
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
