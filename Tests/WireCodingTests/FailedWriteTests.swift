// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(10)))
struct `Writes that fail` {
    /// Fails after it has written something, or at once: JSON's encoder would stop the program at what is written after the first.
    private struct Failing: Encodable {
        var atOnce = false

        func encode(to encoder: any Encoder) throws {
            guard !atOnce else { throw CancellationError() }
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encode("half", forKey: "a")
            throw CancellationError()
        }
    }

    /// Writes keys a second time, and fails.
    private struct Rewriting: Encodable {
        /// The number of other keys.
        let others: Int
        /// What fails.
        let failing: Failing

        func encode(to encoder: any Encoder) throws {
            var outer = encoder.container(keyedBy: AnyKey.self)
            for number in 0..<others { try outer.encode(number, forKey: AnyKey(stringValue: "n\(number)")) }
            try outer.encode(1, forKey: "a")
            try? outer.encode(failing, forKey: "a")
            try outer.encodeIfPresent(2, forKey: "b")
            for _ in 0..<2 { try? outer.encodeIfPresent(failing, forKey: "b") }
            try outer.encode(3, forKey: "c")
            try? outer.encode(failing, forKey: "c")
            try outer.encode(4, forKey: "c")
            // One that failed first, and is written then.
            try? outer.encode(failing, forKey: "d")
            try outer.encode(5, forKey: "d")
            try? outer.encode(failing, forKey: "d")
        }
    }

    @Test(arguments: [0, 3, 31, 32, 33, 100])
    func `a key keeps its value when a second one fails, as in JSON`(others: Int) throws {
        let json = try JSONEncoder().encode(Rewriting(others: others, failing: Failing(atOnce: true)))
        let expected = try JSONDecoder().decode([String: Int].self, from: json)
        #expect(expected.count == others + 4 && expected["a"] == 1 && expected["b"] == 2)
        #expect(expected["c"] == 4 && expected["d"] == 5)
        for atOnce in [true, false] {
            let message = try bytes(of: Rewriting(others: others, failing: Failing(atOnce: atOnce)))
            #expect(try value([String: Int].self, from: message) == expected)
        }
    }

    @Test(arguments: [0, 100])
    func `a container keeps its values when others fail, also while another one is written to`(others: Int) throws {
        let script = Scripted<Never> { encoder in
            var outer = encoder.container(keyedBy: AnyKey.self)
            var first = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "first")
            for number in 0..<others { try first.encode(number, forKey: AnyKey(stringValue: "n\(number)")) }
            try first.encode(1, forKey: "early")
            var list = outer.nestedUnkeyedContainer(forKey: "list")
            try list.encode(1)
            try first.encode(2, forKey: "late")
            for key in ["early", "late", "never"] as [AnyKey] {
                try? first.encode(Failing(), forKey: key)
                try? list.encode(Failing())
            }
            try list.encode(2)
        }
        let message = try bytes(of: script)
        let read: (any Decoder) throws -> Void = { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            let first = try outer.nestedContainer(keyedBy: AnyKey.self, forKey: "first")
            #expect(first.allKeys.count == others + 2)
            #expect(try first.decode(Int.self, forKey: "early") == 1)
            #expect(try first.decode(Int.self, forKey: "late") == 2)
            #expect(try outer.decode([Int].self, forKey: "list") == [1, 2])
        }
        _ = try value(Scripted<Never>.self, from: message, userInfo: [.script: read])
    }

    @Test func `a key that is nil keeps to be, and a container to be written to, when a value for it fails`() throws {
        let script = Scripted<Never> { encoder in
            var outer = encoder.container(keyedBy: AnyKey.self)
            try outer.encodeIfPresent(Int?.none, forKey: "absent")
            try? outer.encode(Failing(), forKey: "absent")
            try outer.encodeNil(forKey: "nil")
            try? outer.encode(Failing(), forKey: "nil")
            var nested = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "nested")
            try nested.encode(1, forKey: "a")
            try? outer.encode(Failing(), forKey: "nested")
            try nested.encode(2, forKey: "b")
        }
        let message = try bytes(of: script)
        let read: (any Decoder) throws -> Void = { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            #expect(outer.allKeys == ["nil", "nested"])
            #expect(try outer.decodeNil(forKey: "nil"))
            #expect(try outer.decode([String: Int].self, forKey: "nested") == ["a": 1, "b": 2])
        }
        _ = try value(Scripted<Never>.self, from: message, userInfo: [.script: read])
    }

    @Test func `writes that fail again and again cost linear time`() throws {
        let growth = try growth(from: 1_000) { count in
            _ = try bytes(
                of: Scripted<Never> { encoder in
                    var outer = encoder.container(keyedBy: AnyKey.self)
                    for number in 0..<count {
                        let key = AnyKey(stringValue: "\(number)")
                        try outer.encode(number, forKey: key)
                        for _ in 0..<3 { try? outer.encode(Failing(), forKey: key) }
                    }
                }
            )
        }
        #expect(growth < 10)
    }
}
