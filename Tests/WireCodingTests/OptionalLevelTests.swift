// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(10)))
struct `Optionals of optionals` {
    /// All that an optional of an optional can be.
    private static let values: [Int??] = [.none, .some(.none), .some(.some(5))]

    /// A value written and read by a single-value container.
    private struct Single<Value: Codable>: Codable {
        let value: Value

        init(_ value: Value) { self.value = value }

        init(from decoder: any Decoder) throws {
            value = try decoder.singleValueContainer().decode(Value.self)
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }

    /// A value written and read by super encoders, in both kinds of containers.
    private struct Super<Value: Codable>: Codable {
        let values: [Value]

        init(_ value: Value) { values = [value, value, value] }

        init(from decoder: any Decoder) throws {
            let outer = try decoder.container(keyedBy: AnyKey.self)
            var list = try outer.nestedUnkeyedContainer(forKey: "list")
            values = [
                try outer.superDecoder(forKey: "a").singleValueContainer().decode(Value.self),
                try outer.superDecoder().singleValueContainer().decode(Value.self),
                try list.superDecoder().singleValueContainer().decode(Value.self),
            ]
        }

        func encode(to encoder: any Encoder) throws {
            var outer = encoder.container(keyedBy: AnyKey.self)
            var list = outer.nestedUnkeyedContainer(forKey: "list")
            for encoder in [outer.superEncoder(forKey: "a"), outer.superEncoder(), list.superEncoder()] {
                var container = encoder.singleValueContainer()
                try container.encode(values[0])
            }
        }
    }

    @Test func `both levels pass through single-value containers and super encoders`() throws {
        for value in Self.values {
            #expect(try carried(Single(value)).value == value)
            #expect(try carried(Single(Single(value))).value.value == value)
            #expect(try carried([Single(value)]).map(\.value) == [value])
            #expect(try carried(Super(value)).values == [value, value, value])
            #expect(try carried(Super(Single(value))).values.map(\.value) == [value, value, value])
            #expect(try carried(Super([value])).values == [[value], [value], [value]])
        }
        for value in [.none, .some(.none), .some(.some(.none)), .some(.some(.some("x")))] as [String???] {
            #expect(try carried(Super(value)).values == [value, value, value])
        }
        for value in [.none, .some(.none), .some(.some(.sample))] as [Mixed??] {
            #expect(try carried(Super(value)).values == [value, value, value])
        }
    }

    @Test func `what a super encoder wrote may be read as a field, and the other way round`() throws {
        struct Field<Value: Codable & Equatable>: Codable {
            var a: Value?
        }
        for value in Self.values {
            let boxed = try bytes(of: Super(value))
            // A field that is optional is nil where there is null.
            #expect(try WireCodingTests.value(Field<Int?>.self, from: boxed).a == value)
            #expect(try WireCodingTests.value(Field<Int>.self, from: boxed).a == value.flatMap(\.self))
            let flat = try bytes(
                of: Scripted<Never> { encoder in
                    var outer = encoder.container(keyedBy: AnyKey.self)
                    try outer.encode(value, forKey: "a")
                    try outer.encode(value, forKey: "super")
                    try outer.encode([value], forKey: "list")
                }
            )
            #expect(try WireCodingTests.value(Super<Int??>.self, from: flat).values == [value, value, value])
        }
    }

    @Test func `one level too many or too few is read as the other`() throws {
        for value in Self.values {
            let flat = value.flatMap(\.self)
            #expect(try WireCodingTests.value(Super<Int?>.self, from: bytes(of: Super(value))).values[0] == flat)
            #expect(try WireCodingTests.value(Int?.self, from: bytes(of: value)) == flat)
            #expect(try WireCodingTests.value([Int?].self, from: bytes(of: [value, 3])) == [flat, 3])
        }
        #expect(try value(Super<Int??>.self, from: bytes(of: Super(Int?.none))).values[0] == .none)
        #expect(try value(Super<Int??>.self, from: bytes(of: Super(5))).values[0] == 5)
        #expect(try value(Int.self, from: bytes(of: Int??.some(5))) == 5)
    }

    @Test func `an optional that writes itself has one level, as in JSON`() throws {
        struct Own: Codable, Equatable {
            var value: Int??

            init(_ value: Int??) { self.value = value }

            init(from decoder: any Decoder) throws {
                value = try Int??(from: decoder.container(keyedBy: AnyKey.self).superDecoder())
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: AnyKey.self)
                try value.encode(to: container.superEncoder())
            }
        }
        for value in Self.values {
            let throughJSON = try JSONDecoder().decode(Own.self, from: JSONEncoder().encode(Own(value)))
            #expect(try carried(Own(value)) == throughJSON)
        }
        // What makes it so: a type may write an optional, and ask for null.
        struct Asking: Codable, Equatable {
            var value: Int?

            init(_ value: Int?) { self.value = value }

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                value = container.decodeNil() ? nil : try container.decode(Int.self)
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(value)
            }
        }
        for value in [nil, 5] { #expect(try carried(Asking(value)) == Asking(value)) }
    }
}
