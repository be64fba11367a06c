// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Values of standard types` {
    /// Carries the numbers around every power of two of an integer type, alone and in an array.
    private func carryIntegers<Number: FixedWidthInteger & Codable>(_ type: Number.Type) throws {
        var numbers: [Number] = [.min, .max, 0, 1]
        for shift in 0..<Number.bitWidth {
            let power = Number(truncatingIfNeeded: 1) &<< Number(truncatingIfNeeded: shift)
            numbers += [power, power &- 1, power &+ 1, 0 &- power, 0 &- power &- 1]
        }
        for number in numbers { try expectCarried(number) }
        try expectCarried(numbers)
        try expectCarried(Set(numbers))
        try expectCarried(ContiguousArray(numbers))
        try expectCarried([numbers, [], numbers])
    }

    @Test func `integers of every width arrive unchanged`() throws {
        try carryIntegers(Int.self)
        try carryIntegers(Int8.self)
        try carryIntegers(Int16.self)
        try carryIntegers(Int32.self)
        try carryIntegers(Int64.self)
        try carryIntegers(Int128.self)
        try carryIntegers(UInt.self)
        try carryIntegers(UInt8.self)
        try carryIntegers(UInt16.self)
        try carryIntegers(UInt32.self)
        try carryIntegers(UInt64.self)
        try carryIntegers(UInt128.self)
    }

    @Test func `floating-point numbers keep every bit, those of NaN included`() throws {
        let doubles = [0, -0.0, 1.5, .pi, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
        try expectCarried(doubles)
        for double in doubles { try expectCarried(double) }
        for double in doubles { try expectCarried(Float(double)) }
        let nan = Double(nan: 0x1234, signaling: false)
        #expect(try carried(nan).bitPattern == nan.bitPattern)
        #expect(try carried([nan]).map(\.bitPattern) == [nan.bitPattern])
        #expect(try carried(-0.0).sign == .minus)
    }

    @Test func `strings of all lengths and scripts arrive unchanged`() throws {
        var strings = ["", "a", "ä", "日本語", "👨‍👩‍👧‍👦", "\0", "e\u{301}", "\u{10FFFF}"]
        strings += [14, 15, 16, 31, 32, 33, 127, 128, 129, 20_000].map { String(repeating: "x", count: $0) }
        for string in strings { try expectCarried(string) }
        try expectCarried(strings)
        try expectCarried(Set(strings))
        // Not only equal in Unicode's sense.
        #expect(try Array(carried("e\u{301}").utf8) == Array("e\u{301}".utf8))
    }

    @Test func `a substring's text arrives though its storage is shared`() throws {
        let text = "a long string with enough characters to live on the heap"
        try expectCarried(String(text.dropFirst(3).dropLast(5)))
    }

    @Test func `Booleans arrive alone and in bulk`() throws {
        try expectCarried(true)
        try expectCarried(false)
        try expectCarried([true, false, false, true])
    }

    @Test func `optionals of optionals keep their depth`() throws {
        let values: [Int???] = [nil, .some(nil), .some(.some(nil)), 5]
        for original in values { try expectCarried(original) }
        try expectCarried(values)
        try expectCarried([nil, "x", nil, ""] as [String?])
        let none: Int? = nil
        try expectCarried(none)
    }

    @Test func `dictionaries arrive whatever their keys are`() throws {
        try expectCarried(["a": 1, "": 2, "日本": 3])
        try expectCarried([1: "a", -7: "b", .max: "c"])
        try expectCarried([1.5: "a"])
        try expectCarried([Suit.hearts: [1, 2], .spades: []])
        try expectCarried([UInt8(3): Optional<Int>.none, 4: 4])
        try expectCarried(["outer": ["inner": ["x": 1.5]]])
        try expectCarried([String: Int]())
        try expectCarried(Dictionary(uniqueKeysWithValues: (0..<500).map { ("key\($0)", $0) }))
    }

    @Test func `ranges, results of the standard library's own Codable, arrive`() throws {
        try expectCarried(3..<7)
        try expectCarried(1.5...2)
        try expectCarried(["a"..."b"])
        try expectCarried(PartialRangeFrom(3).lowerBound)
    }

    @Test func `SIMD vectors arrive alone and in bulk`() throws {
        try expectCarried(SIMD2<Float>(1, 2))
        try expectCarried(SIMD3<Double>(1, 2, 3))
        try expectCarried((0..<50).map { SIMD4<Float>(repeating: Float($0)) })
        try expectCarried((0..<50).map { SIMD3<Int16>(repeating: $0) })
        try expectCarried([SIMD64<UInt8>(repeating: 7)])
    }

    @Test func `small numbers and short strings take one byte more than nothing`() throws {
        #expect(try bytes(of: 100).count == 1)
        #expect(try bytes(of: -32).count == 1)
        #expect(try bytes(of: 300).count == 3)
        #expect(try bytes(of: "abc").count == 4)
        #expect(try bytes(of: [Double](repeating: 1, count: 1000)).count < 8010)
    }

    /// A key of a dictionary.
    enum Suit: String, Codable {
        case hearts
        case spades
    }
}
