// SPDX-License-Identifier: Apache-2.0

/// Functions and types of all access levels for the tests to send.

func square(_ n: Int) -> Int { n * n }

private func privateGreeting(_ name: String, _ times: Int) -> String {
    Array(repeating: "hello \(name)", count: times).joined(separator: " ")
}

/// A function that cannot be named from another file.
let privateFunction: @Sendable (String, Int) -> String = privateGreeting

func joined(_ a: Int, _ b: String, _ c: Double, _ d: Bool, _ e: [Int], _ f: Int?) -> String {
    "\(a) \(b) \(c) \(d) \(e) \(String(describing: f))"
}

func slowSum(_ a: Int, _ b: Int) async -> Int {
    await Task.yield()
    return a + b
}

enum Math {
    static func cube(_ n: Int) -> Int { n * n * n }
}

struct Rectangle: Codable, Sendable, Equatable {
    var width: Int
    var height: Int

    func area(times factor: Int) -> Int { width * height * factor }

    var largest: Int { max(width, height) }
}

enum Shape: Codable, Sendable, Equatable {
    case circle(radius: Double)
    case square(Rectangle)
    case none
}

final class Account: Codable, Sendable {
    let owner: String
    let balance: Int

    init(owner: String, balance: Int) {
        self.owner = owner
        self.balance = balance
    }

    func doubled() -> Int { balance * 2 }
}

class Animal: Codable, @unchecked Sendable {
    var name: String

    init(name: String) {
        self.name = name
    }

    func sound() -> String { "..." }
}

final class Dog: Animal, @unchecked Sendable {
    override func sound() -> String { "\(name) says woof" }
}

/// Sendable, and not Codable: cannot travel.
final class Opaque: Sendable {
    let value = 1
}

struct OpaqueValue: Sendable {
    var value = 2
    var text = "x"
}

struct Failure: Error, Codable, Equatable {
    var code: Int
}

/// Makes a closure in generic code.
func adder<T: Codable & Sendable & AdditiveArithmetic>(_ amount: T) -> @Sendable (T) -> T {
    { $0 + amount }
}

func constantly<T: Codable & Sendable>(_ value: T) -> @Sendable () -> T {
    { value }
}

/// Makes closures in generic code that capture collections of what it is generic over, alone and together.
func describers<K: Codable & Sendable & Hashable, V: Codable & Sendable>(
    _ keys: [K],
    _ values: [K: V],
    _ maybe: V?
) -> [@Sendable () -> String] {
    let set = Set(keys)
    let nested = [keys]
    return [
        { "\(keys)" },
        { "\(values.count) \(values.values.map { "\($0)" })" },
        { "\(String(describing: maybe))" },
        { "\(set.count) \(nested)" },
        { "\(keys) \(values.count) \(String(describing: maybe)) \(set == Set(nested.joined()))" },
    ]
}

/// Nothing but a reference, which can travel all the same.
struct Wrapped: Codable, Sendable {
    private let opaque: Opaque

    init() { opaque = Opaque() }
    init(from decoder: any Decoder) throws { opaque = Opaque() }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(opaque.value)
    }

    var value: Int { opaque.value }
}

/// Makes a closure in code that is generic over a pack.
func counter<each T: Codable & Sendable>(_ values: repeat each T) -> @Sendable () -> Int {
    {
        var count = 0
        for value in repeat each values { count += "\(value)".count }
        return count
    }
}
