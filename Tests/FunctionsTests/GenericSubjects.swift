// SPDX-License-Identifier: Apache-2.0

/// Generic types, and code that is generic over them and makes closures, for the tests to send.

/// Returns `value`, of which the compiler then knows nothing.
@inline(never)
func opaque<Value>(_ value: consuming Value) -> Value { value }

struct Crate<Content: Codable & Sendable>: Codable, Sendable {
    var content: Content

    struct Label<Text: Codable & Sendable>: Codable, Sendable {
        var text: Text
        var content: Content

        func describers<Other: Codable & Sendable>(_ other: Other) -> [@Sendable () -> String] {
            [{ "\(self.text) \(self.content)" }, { "\(self.text) \(self.content) \(other)" }]
        }
    }

    func describers(_ number: Int) -> [@Sendable () -> String] {
        [{ "\(self.content)" }, { "\(self.content) \(number)" }, { "\(number) \(self)" }]
    }
}

func crateDescribers<Content: Codable & Sendable>(
    _ crate: Crate<Content>,
    _ number: Int
) -> [@Sendable () -> String] {
    let nested = Crate(content: [crate])
    let maybe: Crate<Content>? = crate
    let pair = (crate, number)
    let result = Choice.one(crate.content)
    return [
        { "\(crate)" }, { "\(crate) \(number)" }, { "\(nested) \(String(describing: maybe))" },
        { "\(pair.0) \(pair.1) \(result)" }, { "\(String(describing: maybe))" },
    ]
}

/// A type that asks something of its parameters.
struct Register<Key: Codable & Sendable & Hashable, Value: Codable & Sendable>: Codable, Sendable {
    var entries: [Key: Value]

    func describers<Other: Codable & Sendable>(with other: Other) -> [@Sendable () -> String] {
        [
            { "\(self.entries)" }, { "\(self.entries) \(other)" },
            { "\(other) \(Crate(content: other)) \(self.entries)" },
        ]
    }
}

enum Choice<Content: Codable & Sendable>: Codable, Sendable {
    case one(Content)
    case two(Content, String)
    case none
}

func choiceDescriber<Content: Codable & Sendable>(
    _ choice: Choice<Content>,
    _ number: Int
) -> @Sendable () -> String {
    { "\(choice) \(number)" }
}

/// Its methods know what they are generic over from the object.
class Shelf<Item: Codable & Sendable>: Codable, @unchecked Sendable {
    let item: Item

    init(item: Item) {
        self.item = item
    }

    var name: String { "shelf of \(item)" }

    func describers(_ number: Int) -> [@Sendable () -> String] {
        let item = self.item
        return [
            { self.name }, { "\(self.name) \(number)" }, { "\(number) \(self.name) \(item)" },
            { "\(item) \(self.name)" },
        ]
    }
}

final class TallShelf: Shelf<Int>, @unchecked Sendable {
    init(height: Int) {
        super.init(item: height)
    }

    required init(from decoder: any Decoder) throws {
        try super.init(from: decoder)
    }

    override var name: String { "tall \(super.name)" }
}

/// What the closures are generic over comes from one object, and from the second of two.
func shelfDescribers<Item: Codable & Sendable, Other: Codable & Sendable>(
    _ number: Int,
    _ shelf: Shelf<Item>,
    _ other: Shelf<Other>
) -> [@Sendable () -> String] {
    [{ "\(number) \(shelf.name)" }, { "\(number) \(shelf.name) \(other.name)" }, { "\(other.name) \(number)" }]
}

func typeDescribers<Items: Codable & Sendable & Sequence>(_ items: Items, _ number: Int) -> [@Sendable () -> String]
where Items.Element: Codable & Sendable {
    let type = opaque(Items.self)
    let first = Array(items)[0]
    let crate = Crate(content: first)
    return [
        { "\(type) \(number)" }, { "\(type)" }, { "\(first) \(number)" }, { "\(first)" },
        { "\(crate) \(items) \(type)" },
    ]
}

func metatypeDescriber<Value: AnyObject>(_ value: Value, _ number: Int) -> @Sendable () -> String {
    let type = type(of: value)
    return { "\(type) \(number)" }
}
