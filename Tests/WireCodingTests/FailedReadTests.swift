// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(10)))
struct `Reads that fail` {
    /// Expects the time to read what a script wrote to be about linear.
    private func expectLinear(
        from count: Int,
        sourceLocation: SourceLocation = #_sourceLocation,
        write: @escaping (any Encoder, Int) throws -> Void,
        read: @escaping (any Decoder) throws -> Void
    ) throws {
        let messages = try [count, 4 * count].map { count in
            (count, try bytes(of: Scripted<Never> { try write($0, count) }))
        }
        let growth = try growth(from: count) { count in
            for message in messages where message.0 == count {
                _ = try value(Scripted<Never>.self, from: message.1, userInfo: [.script: read])
            }
        }
        #expect(growth < 10, sourceLocation: sourceLocation)
    }

    /// Returns the coding path of the error of a failed attempt.
    private func path(_ attempt: () throws -> Void) -> [String]? {
        do {
            try attempt()
            return nil
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            return context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
        } catch {
            return nil
        }
    }

    @Test func `attempts in the containers of a list cost linear time, and say where`() throws {
        try expectLinear(from: 3_000) { encoder, count in
            var list = encoder.unkeyedContainer()
            for number in 0..<count {
                var row = list.nestedContainer(keyedBy: AnyKey.self)
                try row.encode(number, forKey: "n")
                var inner = row.nestedUnkeyedContainer(forKey: "list")
                try inner.encode("\(number)")
            }
        } read: { decoder in
            var list = try decoder.unkeyedContainer()
            var index = 0
            while !list.isAtEnd {
                let row = try list.nestedContainer(keyedBy: AnyKey.self)
                #expect(path { _ = try row.decode(String.self, forKey: "n") } == ["\(index)", "n"])
                #expect(row.codingPath.first?.intValue == index)
                var inner = try row.nestedUnkeyedContainer(forKey: "list")
                #expect(path { _ = try inner.decode(Int.self) } == ["\(index)", "list", "0"])
                #expect(try inner.decode(String.self) == "\(index)")
                index += 1
            }
        }
    }

    @Test func `attempts in the containers of a keyed container cost linear time, and say where`() throws {
        try expectLinear(from: 3_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            for number in 0..<count {
                var row = outer.nestedUnkeyedContainer(forKey: AnyKey(stringValue: "\(number)"))
                try row.encode(number)
            }
        } read: { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            for key in outer.allKeys {
                var row = try outer.nestedUnkeyedContainer(forKey: key)
                #expect(path { _ = try row.decode(Mixed.self) } == [key.stringValue, "0"])
            }
        }
    }

    @Test func `attempts in a container behind many others cost linear time, and say where`() throws {
        try expectLinear(from: 3_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            for number in 0..<count { try outer.encode(number, forKey: AnyKey(stringValue: "\(number)")) }
            var last = outer.nestedUnkeyedContainer(forKey: "last")
            for number in 0..<count { try last.encode(number) }
        } read: { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            var last = try outer.nestedUnkeyedContainer(forKey: "last")
            while !last.isAtEnd {
                #expect(path { _ = try last.decode(Bool.self) } == ["last", "\(last.currentIndex)"])
                #expect(try last.decode(Dynamic.self) == .int(last.currentIndex - 1))
            }
        }
    }

    @Test func `attempts by super decoders, in any order, cost linear time, and say where`() throws {
        try expectLinear(from: 3_000) { encoder, count in
            var list = encoder.unkeyedContainer()
            for number in 0..<count { try number.encode(to: list.superEncoder()) }
        } read: { decoder in
            var list = try decoder.unkeyedContainer()
            var decoders: [any Decoder] = []
            while !list.isAtEnd { decoders.append(try list.superDecoder()) }
            for (index, decoder) in decoders.enumerated().reversed() {
                #expect(path { _ = try decoder.singleValueContainer().decode(String.self) } == ["\(index)"])
                #expect(decoder.codingPath.first?.intValue == index)
                #expect(try decoder.singleValueContainer().decode(Int.self) == index)
            }
        }
    }
}
