// SPDX-License-Identifier: Apache-2.0
//
// What a type's Codable means is what it means to JSONEncoder and JSONDecoder, wherever JSON can say it.

internal import Foundation
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Agreement with JSON` {
    /// Expects a value to look the same, when encoded again as JSON, whichever way it went.
    private func expectAgreement<Value: Codable>(
        _ original: Value,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let json = try encoder.encode([original])
        let throughJSON = try encoder.encode(JSONDecoder().decode([Value].self, from: json))
        let throughWire = try encoder.encode([carried(original)])
        #expect(throughWire == throughJSON, sourceLocation: sourceLocation)
    }

    @Test func `tricky types arrive as they do through JSON`() throws {
        try expectAgreement(Mixed.sample)
        try expectAgreement(Backwards(a: 1, b: "x", d: [1]))
        try expectAgreement(SharingDog(name: "Rex", tricks: ["sit"]))
        try expectAgreement(NestingDog(name: "Rex", tricks: []))
        try expectAgreement(Shape.many(shapes: [.empty, .circle(radius: 1)], names: ["a": .labelled("x", .empty)]))
        // JSON has such a dictionary as a list, in the order of this very dictionary: two of one content may differ in it.
        try expectAgreement([Color.red: 1])
        try expectCarried([Color.red: 1, .green: 2])
        try expectAgreement([Optional<Int>.none, 3])
        try expectAgreement(Dynamic.object(["a": .list([.int(1), .double(1.5), .null])]))
        try expectAgreement(Nothing())
        try expectAgreement([1: [2.5: "x"]])
        try expectAgreement(Decimal(string: "12345.6789"))
        try expectAgreement(URL(string: "b", relativeTo: URL(string: "http://a/")))
        try expectAgreement(Locale(identifier: "de_DE"))
        try expectAgreement(DateComponents(year: 2024, month: 2))
        try expectAgreement(IndexSet([1, 2, 3, 9]))
        try expectAgreement(CharacterSet.whitespaces)
        try expectAgreement(Measurement(value: 3, unit: UnitLength.meters))
    }

    @Test func `Foundation's values arrive unchanged`() throws {
        try expectCarried(Data())
        try expectCarried(Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) }))
        try expectCarried(Data([1, 2, 3, 4])[1...2])
        try expectCarried([Data([1]), Data()])
        try expectCarried(Date(timeIntervalSinceReferenceDate: 1234.5678))
        try expectCarried(["d": Date.distantFuture])
        try expectCarried(UUID())
        try expectCarried([URL(string: "https://example.org/a%20b?c=d#e")])
        let relative = try #require(URL(string: "b", relativeTo: URL(string: "http://a/")))
        #expect(try carried(relative).baseURL == relative.baseURL)
        #expect(try bytes(of: UUID()).count == 19)
    }

    @Test func `data may be read as an array of bytes and the other way round`() throws {
        #expect(try value([UInt8].self, from: bytes(of: Data([1, 200]))) == [1, 200])
        #expect(try value(Data.self, from: bytes(of: [1, 200] as [UInt8])) == Data([1, 200]))
        #expect(try value(Date.self, from: bytes(of: 5.0)) == Date(timeIntervalSinceReferenceDate: 5))
    }

    /// A random value, as deep as `depth`.
    private func random(_ depth: Int, _ generator: inout SeededGenerator) -> Dynamic {
        func text() -> String {
            let letters = Array("aäß日👩‍👧x\"\\\n")
            return String(
                (0..<Int.random(in: 0...40, using: &generator)).compactMap { _ in
                    letters.randomElement(using: &generator)
                }
            )
        }
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &generator) {
        case 0: return .null
        case 1: return .bool(.random(using: &generator))
        case 2:
            return .int(Int.random(in: .min ... .max, using: &generator) >> Int.random(in: 0..<64, using: &generator))
        case 3: return .double(Double(Int.random(in: -99...99, using: &generator)) + 0.5)
        case 4: return .string(text())
        case 5, 6:
            return .list((0..<Int.random(in: 0...5, using: &generator)).map { _ in random(depth - 1, &generator) })
        default:
            var object: [String: Dynamic] = [:]
            for _ in 0..<Int.random(in: 0...5, using: &generator) { object[text()] = random(depth - 1, &generator) }
            return .object(object)
        }
    }

    @Test func `random values of unknown shape arrive unchanged`() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<2000 { try expectCarried(random(4, &generator)) }
    }

    @Test func `random sequences of writes to interleaved containers are read back as a model says`() throws {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<500 {
            var model: [Int: [String: Int]] = [:]
            let count = Int.random(in: 1...6, using: &generator)
            let writes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                (
                    container: Int.random(in: 0..<count, using: &generator),
                    key: "k\(Int.random(in: 0...45, using: &generator))",
                    value: Int.random(in: .min ... .max, using: &generator) >> Int.random(in: 0..<64, using: &generator)
                )
            }
            for write in writes { model[write.container, default: [:]][write.key] = write.value }

            let message = try bytes(
                of: Scripted<Never> { encoder in
                    var outer = encoder.container(keyedBy: AnyKey.self)
                    // Each nested in the one before, or beside it, or in a box.
                    var containers: [KeyedEncodingContainer<AnyKey>] = []
                    for index in 0..<count {
                        let key = AnyKey(stringValue: "c\(index)")
                        switch index % 3 {
                        case 0: containers.append(outer.nestedContainer(keyedBy: AnyKey.self, forKey: key))
                        case 1:
                            containers.append(containers[index - 1].nestedContainer(keyedBy: AnyKey.self, forKey: key))
                        default: containers.append(outer.superEncoder(forKey: key).container(keyedBy: AnyKey.self))
                        }
                    }
                    for write in writes {
                        try containers[write.container].encode(write.value, forKey: AnyKey(stringValue: write.key))
                    }
                }
            )
            let read: (any Decoder) throws -> Void = { decoder in
                let outer = try decoder.container(keyedBy: AnyKey.self)
                var containers: [KeyedDecodingContainer<AnyKey>] = []
                for index in 0..<count {
                    let key = AnyKey(stringValue: "c\(index)")
                    let parent = index % 3 == 1 ? containers[index - 1] : outer
                    containers.append(try parent.nestedContainer(keyedBy: AnyKey.self, forKey: key))
                }
                for index in 0..<count {
                    let expected = model[index] ?? [:]
                    let keys = containers[index].allKeys.map(\.stringValue).filter { !$0.hasPrefix("c") }
                    #expect(Set(keys) == Set(expected.keys) && keys.count == expected.count)
                    for (key, value) in expected {
                        #expect(try containers[index].decode(Int.self, forKey: AnyKey(stringValue: key)) == value)
                    }
                }
            }
            _ = try value(Scripted<Never>.self, from: message, userInfo: [.script: read])
        }
    }
}
