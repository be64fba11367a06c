// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Mistakes` {
    /// A type with containers in containers.
    private struct Order: Codable {
        var lines: [Line]
        var notes: [String: [Line]]
        var numbers: [[Int]]
        struct Line: Codable {
            var price: Double
        }
    }

    /// An order that reads as nothing else.
    private let order = Order(
        lines: [.init(price: 1), .init(price: 2)],
        notes: ["n": [.init(price: 3)]],
        numbers: [[1], [2, 3]]
    )

    /// The same fields as an order, with a mistake in each.
    private struct BadLines: Codable {
        var lines: [Line]
        struct Line: Codable {
            var price: String
        }
    }
    private struct MissingKey: Codable {
        var notes: [String: [Line]]
        struct Line: Codable {
            var cost: Double
        }
    }
    private struct BadNumbers: Codable {
        var numbers: [[String]]
    }

    /// Returns the coding path of a decoding error, as text.
    private func path(_ error: (any Error)?) -> String? {
        let context: DecodingError.Context
        switch error as? DecodingError {
        case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found),
            .dataCorrupted(let found):
            context = found
        default: return nil
        }
        return context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: "/")
    }

    @Test func `a decoding error says where`() throws {
        let message = try bytes(of: order)
        #expect(path(decodingFailure(BadLines.self, from: message)) == "lines/0/price")
        #expect(path(decodingFailure(MissingKey.self, from: message)) == "notes/n/0")
        #expect(path(decodingFailure(BadNumbers.self, from: message)) == "numbers/0")
        #expect(path(decodingFailure([Order].self, from: message)) == "")
        #expect(path(decodingFailure([[String]].self, from: try bytes(of: [["a"], ["b", nil]]))) == "1/1")
        #expect(path(decodingFailure([String: Int8].self, from: try bytes(of: ["a": 300]))) == "a")
    }

    @Test func `the kind of a decoding error is what other coders say`() throws {
        guard case .typeMismatch = decodingFailure(Int.self, from: try bytes(of: "x")) as? DecodingError else {
            return #expect(Bool(false), "a string is no integer")
        }
        guard case .valueNotFound = decodingFailure(Int.self, from: try bytes(of: Int?.none)) as? DecodingError else {
            return #expect(Bool(false), "null is no integer")
        }
        guard case .dataCorrupted = decodingFailure(UInt8.self, from: try bytes(of: 300)) as? DecodingError else {
            return #expect(Bool(false), "300 is no byte")
        }
        guard
            case .keyNotFound(let key, _) = decodingFailure(Mixed.self, from: try bytes(of: Nothing()))
                as? DecodingError
        else {
            return #expect(Bool(false), "there is no key")
        }
        #expect(key.stringValue == "id")
    }

    @Test func `coding paths are right on both sides, wherever user code asks`() throws {
        var paths: [String] = []
        func note(_ path: [any CodingKey]) {
            paths.append(path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: "/"))
        }
        let message = try bytes(of: [
            "outer": [
                Scripted<Never> { encoder in
                    note(encoder.codingPath)
                    var keyed = encoder.container(keyedBy: AnyKey.self)
                    note(keyed.codingPath)
                    try keyed.encode(1, forKey: "first")
                    var list = keyed.nestedUnkeyedContainer(forKey: "list")
                    try list.encode(1)
                    var inner = list.nestedContainer(keyedBy: AnyKey.self)
                    note(inner.codingPath)
                    note(keyed.superEncoder().codingPath)
                    try inner.encode(Scripted<Never> { note($0.codingPath) }, forKey: "late")
                }
            ]
        ])
        let expected = ["outer/0", "outer/0", "outer/0/list/1", "outer/0/super", "outer/0/list/1/late"]
        #expect(paths == expected)

        paths = []
        let read: (any Decoder) throws -> Void = { decoder in
            // The script runs for the inner one as well.
            guard decoder.codingPath.count < 3 else { return note(decoder.codingPath) }
            note(decoder.codingPath)
            let keyed = try decoder.container(keyedBy: AnyKey.self)
            note(keyed.codingPath)
            var list = try keyed.nestedUnkeyedContainer(forKey: "list")
            _ = try list.decode(Int.self)
            let inner = try list.nestedContainer(keyedBy: AnyKey.self)
            note(inner.codingPath)
            note(try keyed.superDecoder().codingPath)
            _ = try inner.decode(Scripted<Never>.self, forKey: "late")
        }
        _ = try value([String: [Scripted<Never>]].self, from: message, userInfo: [.script: read])
        #expect(paths == expected)
    }

    @Test func `errors of user code pass through unchanged`() throws {
        struct Own: Error {}
        #expect(throws: Own.self) { try bytes(of: [Scripted<Never> { _ in throw Own() }]) }
        let read: (any Decoder) throws -> Void = { _ in throw Own() }
        let message = try bytes(of: [Scripted<Never> { _ in }])
        #expect(throws: Own.self) { try value([Scripted<Never>].self, from: message, userInfo: [.script: read]) }
    }

    @Test func `a failed encode leaves the writer as it was, and a failed decode the reader`() throws {
        var writer = WireWriter()
        try WireCoding.encode("kept", into: &writer)
        let count = writer.count
        #expect(throws: CancellationError.self) {
            try WireCoding.encode([Scripted<Never> { _ in throw CancellationError() }], into: &writer)
        }
        #expect(writer.count == count)
        try writer.withUnsafeBytes { bytes throws in
            var reader = WireReader(bytes)
            #expect(throws: DecodingError.self) { try WireCoding.decode(Mixed.self, from: &reader) }
            let kept = try WireCoding.decode(String.self, from: &reader)
            #expect(kept == "kept")
            #expect(reader.isAtEnd)
        }
    }

    @Test func `an error in the bytes says what and where`() throws {
        let message = try bytes(of: order)
        let error = decodingFailure(Order.self, from: Array(message.dropLast(3))) as? WireCodingError
        #expect(error?.code == .lengthOutOfRange)
        #expect(error?.description.contains("byte 0") == true)
        var damaged = message
        let index = try #require(damaged.lastIndex(of: 0x8C))
        damaged[index] = 0xC0
        let inside = decodingFailure(Order.self, from: damaged) as? WireCodingError
        #expect(inside?.code == .invalidValue)
        #expect(inside?.path == "notes.n[0].price")
    }
}
