// SPDX-License-Identifier: Apache-2.0
//
// Types whose Codable takes every liberty that the protocol gives.

/// Ten fields of the kinds that programs have.
struct Mixed: Codable, Equatable {
    /// A small struct.
    struct Point: Codable, Equatable {
        var x: Double
        var y: Double
    }

    var id: Int
    var name: String
    var score: Double
    var isActive: Bool
    var nickname: String?
    var age: Int?
    var position: Point
    var tags: [Int]
    var ratio: Float
    var words: [String]

    /// A value for tests.
    static let sample = Mixed(
        id: 123_456,
        name: "A name of usual length",
        score: 99.5,
        isActive: true,
        nickname: "nick",
        age: nil,
        position: Point(x: 1.25, y: -7),
        tags: [1, 2, 3, 500, -7],
        ratio: 0.5,
        words: ["alpha", "beta", "gamma"]
    )
}

/// An enum with payloads of all kinds, and itself inside.
indirect enum Shape: Codable, Equatable {
    case empty
    case circle(radius: Double)
    case pair(Shape, Shape)
    case labelled(String, Shape?)
    case many(shapes: [Shape], names: [String: Shape])
}

/// A struct that holds nothing.
struct Nothing: Codable, Equatable {}

/// A type that never asks for a container.
struct Silent: Codable, Equatable {
    init() {}
    init(from decoder: any Decoder) throws {}
    func encode(to encoder: any Encoder) throws {}
}

/// An enum carried as its raw value.
enum Color: String, Codable, CaseIterable {
    case red
    case green
}

/// An option set carried as its raw value.
struct Options: OptionSet, Codable {
    let rawValue: Int
}

/// A class with a subclass that passes its own encoder on.
class Animal: Codable {
    var name: String
    init(name: String) { self.name = name }
}

/// Encodes the superclass' part into the same container.
final class SharingDog: Animal {
    /// The keys of the subclass.
    private enum CodingKeys: CodingKey {
        case tricks
    }

    var tricks: [String]

    init(name: String, tricks: [String]) {
        self.tricks = tricks
        super.init(name: name)
    }

    required init(from decoder: any Decoder) throws {
        tricks = try decoder.container(keyedBy: CodingKeys.self).decode([String].self, forKey: .tricks)
        try super.init(from: decoder)
    }

    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try super.encode(to: encoder)
        try container.encode(tricks, forKey: .tricks)
    }
}

/// Encodes the superclass' part by super encoders, with and without a key.
final class NestingDog: Animal {
    /// The keys of the subclass.
    private enum CodingKeys: CodingKey {
        case tricks
        case animal
        case list
    }

    var tricks: [String]

    init(name: String, tricks: [String]) {
        self.tricks = tricks
        super.init(name: name)
    }

    required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tricks = try container.decode([String].self, forKey: .tricks)
        let second = try Animal(from: container.superDecoder(forKey: .animal))
        var list = try container.nestedUnkeyedContainer(forKey: .list)
        let third = try Animal(from: list.superDecoder())
        try super.init(from: container.superDecoder())
        guard second.name == name, third.name == name else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "the three differ"))
        }
    }

    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try super.encode(to: container.superEncoder(forKey: .animal))
        var list = container.nestedUnkeyedContainer(forKey: .list)
        try super.encode(to: list.superEncoder())
        try super.encode(to: container.superEncoder())
        try container.encode(tricks, forKey: .tricks)
    }
}

/// Reads its fields backwards, skips one, and asks for one that is not there.
struct Backwards: Codable, Equatable {
    /// The keys, one of them never written.
    private enum CodingKeys: CodingKey {
        case a
        case b
        case c
        case d
        case missing
    }

    var a: Int
    var b: String
    var d: [Int]

    init(a: Int, b: String, d: [Int]) {
        self.a = a
        self.b = b
        self.d = d
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        d = try container.decode([Int].self, forKey: .d)
        guard !container.contains(.missing), container.contains(.c),
            try container.decodeIfPresent(Int.self, forKey: .missing) == nil
        else { throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "wrong keys")) }
        b = try container.decode(String.self, forKey: .b)
        a = try container.decode(Int.self, forKey: .a)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(a, forKey: .a)
        try container.encode(b, forKey: .b)
        try container.encode(["skipped": [1, 2, 3]], forKey: .c)
        try container.encode(d, forKey: .d)
    }
}

/// A value of unknown type, found out by trying.
enum Dynamic: Codable, Equatable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case list([Dynamic])
    case object([String: Dynamic])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .int(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([Dynamic].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: Dynamic].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

/// A key made at run time.
struct AnyKey: CodingKey, ExpressibleByStringLiteral, Equatable {
    var stringValue: String
    var intValue: Int?

    init(stringValue: String) { self.stringValue = stringValue }
    init(stringLiteral value: String) { stringValue = value }

    init(intValue: Int) {
        self.intValue = intValue
        stringValue = String(intValue)
    }
}

/// Encodes by a closure, and decodes by another: a Codable for one test.
struct Scripted<Content>: Codable {
    /// What to do when encoding.
    let script: (any Encoder) throws -> Void

    init(_ script: @escaping (any Encoder) throws -> Void) { self.script = script }

    init(from decoder: any Decoder) throws {
        script = { _ in }
        guard let read = decoder.userInfo[.script] as? (any Decoder) throws -> Void else { return }
        try read(decoder)
    }

    func encode(to encoder: any Encoder) throws { try script(encoder) }
}

extension CodingUserInfoKey {
    /// Where a `Scripted` finds what to do when decoding.
    static let script = CodingUserInfoKey(rawValue: "script").unsafelyUnwrapped
}
