// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

private struct Speck: BitwiseCodable, Equatable {
    var position: SIMD3<Float> = [1, 2, 3]
    var mass = 4.0
}

private struct Writer: Codable, Equatable {
    var name = "Ada"
}

@Suite(.timeLimit(.minutes(30)))
struct FlatCodingTests {
    /// Writes `value` without a buffer, compares its bytes with the coder's own, and reads it again.
    private func expectFlat<T: Codable & Equatable>(_ value: T) throws {
        let flat = try #require(FlatCoding(T.self))
        let bound = flat.bound(value)
        // Any byte written beyond the bound is seen.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bound + 64, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0xa5)
        defer { memory.deallocate() }
        let base = try #require(memory.baseAddress)
        let count = flat.encode(value, to: base, bound: bound)
        #expect(count <= bound)
        #expect(memory[bound...].allSatisfy { $0 == 0xa5 })
        let bytes = UnsafeRawBufferPointer(rebasing: memory[..<count])
        var writer = WireWriter()
        try WireCoding.encode(value, into: &writer)
        #expect(writer.withUnsafeBytes { $0.elementsEqual(bytes) })
        #expect(try decode(T.self, bytes) == value)
        // Neither a part nor more than the value.
        #expect(try decode(T.self, UnsafeRawBufferPointer(rebasing: memory[..<(count + 1)])) == nil)
        if count > 0 { #expect(try decode(T.self, UnsafeRawBufferPointer(rebasing: bytes[..<(count - 1)])) == nil) }
    }

    private func decode<T>(_ type: T.Type, _ bytes: UnsafeRawBufferPointer) throws -> T? {
        let flat = try #require(FlatCoding(type))
        return try? flat.decode(type, from: bytes)
    }

    private func expectIntegers<Number: FixedWidthInteger & Codable>(_ type: Number.Type) throws {
        var numbers: [Number] = [.min, .max]
        for shift in 0..<Number.bitWidth {
            let power = Number(truncatingIfNeeded: 1) &<< Number(truncatingIfNeeded: shift)
            numbers += [power, power &- 1, power &+ 1, 0 &- power, 0 &- power &- 1]
        }
        for number in numbers {
            try expectFlat(number)
            try expectFlat(Optional(number))
        }
        try expectFlat(numbers)
        try expectFlat([Number]())
    }

    @Test func `integers of every width fit into the bytes they say they take`() throws {
        try expectIntegers(Int.self)
        try expectIntegers(Int8.self)
        try expectIntegers(Int16.self)
        try expectIntegers(Int32.self)
        try expectIntegers(Int64.self)
        try expectIntegers(Int128.self)
        try expectIntegers(UInt.self)
        try expectIntegers(UInt8.self)
        try expectIntegers(UInt16.self)
        try expectIntegers(UInt32.self)
        try expectIntegers(UInt64.self)
        try expectIntegers(UInt128.self)
    }

    @Test func `other flat values do, too`() throws {
        for double in [0, -0.0, .pi, .infinity, .greatestFiniteMagnitude] { try expectFlat(double) }
        try expectFlat(Float.pi)
        try expectFlat([Float.pi, 1])
        try expectFlat(true)
        try expectFlat([true, false])
        for count in [0, 1, 30, 31, 32, 127, 128, 20_000] { try expectFlat(String(repeating: "ä", count: count)) }
        try expectFlat(Speck())
        try expectFlat([Speck](repeating: Speck(), count: 1000))
        try expectFlat(SIMD4<Int32>(1, 2, 3, 4))
        try expectFlat([UInt8](repeating: 7, count: 100_000))
        try expectFlat(Int??.some(.none))
        try expectFlat(Int??.none)
        try expectFlat(Int??.some(.some(.max)))
        try expectFlat([Double]?.some([1, 2]))
    }

    @Test func `what takes more than a copy, or runs the program's own code, is not flat`() {
        #expect(FlatCoding(Writer.self) == nil)
        #expect(FlatCoding(Writer?.self) == nil)
        #expect(FlatCoding([String].self) == nil)
        #expect(FlatCoding([[Int]].self) == nil)
        #expect(FlatCoding([String: Int].self) == nil)
        #expect(FlatCoding(Set<Int>.self) == nil)
    }

    @Test func `another value's bytes are left to the whole decoder`() throws {
        var writer = WireWriter()
        try WireCoding.encode("text", into: &writer)
        #expect(try writer.withUnsafeBytes { try decode(Int.self, $0) } == nil)
        #expect(try writer.withUnsafeBytes { try decode([UInt8].self, $0) } == nil)
        #expect(try decode(Int.self, UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    }
}
