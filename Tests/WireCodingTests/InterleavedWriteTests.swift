// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(10)))
struct `Containers written to in turn` {
    // MARK: - What arrives

    /// A container that a random value is written to, and what was written.
    private final class Model {
        /// The container.
        enum Container {
            case keyed(KeyedEncodingContainer<AnyKey>)
            case list(any UnkeyedEncodingContainer)
            /// A super encoder that nothing was written to.
            case encoder(any Encoder)
            /// A super encoder that a whole value was written to.
            case whole(Dynamic)
        }

        var container: Container
        var entries: [String: Model] = [:]
        var elements: [Model] = []

        /// Whether it is in the box of a super encoder.
        let isBoxed: Bool

        init(_ container: Container) {
            self.container = container
            if case .encoder = container { isBoxed = true } else { isBoxed = false }
        }

        /// What was written.
        var value: Dynamic {
            switch container {
            case .keyed: .object(entries.mapValues(\.value))
            case .list: .list(elements.map(\.value))
            case .encoder: .null
            case .whole(let value): value
            }
        }
    }

    /// A few containers of one value, to which random writes go.
    private struct Forest {
        var generator: SeededGenerator
        var models: [Model]
        /// How many values deep this is.
        let depth: Int

        /// Writes something to a random container.
        mutating func write() throws {
            let model = models[Int.random(in: models.indices, using: &generator)]
            switch model.container {
            case .keyed(var container):
                let key = AnyKey(stringValue: "k\(Int.random(in: 0..<60, using: &generator))")
                if let made = try addEntry(key, to: &container, model.entries[key.stringValue]) {
                    model.entries[key.stringValue] = made
                }
            case .list(var container):
                if let made = try addElement(to: &container) { model.elements.append(made) }
            case .encoder(let encoder):
                try begin(encoder, model)
            case .whole:
                break
            }
        }

        /// Writes a random entry, and returns what it is; nil when it failed.
        private mutating func addEntry(
            _ key: AnyKey,
            to container: inout KeyedEncodingContainer<AnyKey>,
            _ earlier: Model?
        ) throws -> Model? {
            switch Int.random(in: 0..<12, using: &generator) {
            case 0:
                let nested = container.nestedContainer(keyedBy: AnyKey.self, forKey: key)
                guard let earlier, !earlier.isBoxed, case .keyed = earlier.container else { return add(.keyed(nested)) }
                // A container that is there already is the same.
                earlier.container = .keyed(nested)
                return nil
            case 1 where earlier == nil: return add(.list(container.nestedUnkeyedContainer(forKey: key)))
            case 2: return add(.encoder(container.superEncoder(forKey: key)))
            case 3:
                try? container.encode(Failing(), forKey: key)
                return nil
            case 4:
                let inner = Inner(seed: generator.next(), depth: depth + 1)
                try container.encode(inner, forKey: key)
                return Model(.whole(inner.written.value))
            case 5:
                try container.encodeIfPresent(Int?.none, forKey: key)
                return nil
            default:
                let number = Int.random(in: 0..<100_000, using: &generator)
                try container.encode(number, forKey: key)
                return Model(.whole(.int(number)))
            }
        }

        /// Writes a random element, and returns what it is; nil when it failed.
        private mutating func addElement(to container: inout any UnkeyedEncodingContainer) throws -> Model? {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: return add(.keyed(container.nestedContainer(keyedBy: AnyKey.self)))
            case 1: return add(.list(container.nestedUnkeyedContainer()))
            case 2: return add(.encoder(container.superEncoder()))
            case 3:
                try? container.encode(Failing())
                return nil
            case 4:
                let inner = Inner(seed: generator.next(), depth: depth + 1)
                try container.encode(inner)
                return Model(.whole(inner.written.value))
            default:
                let number = Int.random(in: 0..<100_000, using: &generator)
                try container.encode(number)
                return Model(.whole(.int(number)))
            }
        }

        /// Writes to a super encoder for the first time.
        private mutating func begin(_ encoder: any Encoder, _ model: Model) throws {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: model.container = .keyed(encoder.container(keyedBy: AnyKey.self))
            case 1: model.container = .list(encoder.unkeyedContainer())
            case 2:
                var container = encoder.singleValueContainer()
                try? container.encode(Failing())
            default:
                var container = encoder.singleValueContainer()
                let inner = Inner(seed: generator.next(), depth: depth + 1)
                try container.encode(inner)
                model.container = .whole(inner.written.value)
            }
        }

        /// Adds a container to those that are written to.
        private mutating func add(_ container: Model.Container) -> Model {
            let model = Model(container)
            models.append(model)
            return model
        }
    }

    /// A value that writes random things to random containers of its own.
    private final class Inner: Encodable {
        private let seed: UInt64
        private let depth: Int
        /// What was written.
        private(set) var written = Model(.whole(.null))

        init(seed: UInt64, depth: Int) {
            self.seed = seed
            self.depth = depth
        }

        func encode(to encoder: any Encoder) throws {
            var generator = SeededGenerator(seed: seed)
            let isKeyed = Bool.random(using: &generator)
            written = Model(
                isKeyed ? .keyed(encoder.container(keyedBy: AnyKey.self)) : .list(encoder.unkeyedContainer())
            )
            let writes = depth > 3 ? 0 : Int.random(in: 0...(depth == 0 ? 300 : 12), using: &generator)
            var forest = Forest(generator: generator, models: [written], depth: depth)
            for _ in 0..<writes { try forest.write() }
        }
    }

    /// Writes into two containers in turn, and fails.
    private struct Failing: Encodable {
        func encode(to encoder: any Encoder) throws {
            var list = encoder.unkeyedContainer()
            var (first, second) = (list.nestedUnkeyedContainer(), list.nestedUnkeyedContainer())
            for number in 0..<3 {
                try first.encode(number)
                try second.encode(number)
            }
            throw CancellationError()
        }
    }

    @Test func `random writes of all kinds to containers of all kinds arrive`() throws {
        for seed in 0..<400 {
            let original = Inner(seed: UInt64(seed), depth: 0)
            let message = try bytes(of: original)
            let isEqual = try value(Dynamic.self, from: message) == original.written.value
            #expect(isEqual, "seed \(seed)")
        }
    }

    @Test func `a container kept from a call that failed is refused`() {
        var kept: (any UnkeyedEncodingContainer)?
        #expect(throws: WireCodingError.self) {
            try bytes(
                of: Scripted<Never> { encoder in
                    _ = encoder.container(keyedBy: AnyKey.self)
                    kept = encoder.unkeyedContainer()
                }
            )
        }
        #expect(throws: WireCodingError.self) { try kept?.encode(1) }
    }

    @Test func `a super encoder asked late for a container of a second kind is an error`() {
        #expect(throws: WireCodingError.self) {
            try bytes(
                of: Scripted<Never> { encoder in
                    var outer = encoder.container(keyedBy: AnyKey.self)
                    let inner = outer.superEncoder(forKey: "a")
                    var single = inner.singleValueContainer()
                    try single.encode("whole")
                    try outer.encode(1, forKey: "b")
                    _ = inner.container(keyedBy: AnyKey.self)
                    try outer.encode(2, forKey: "c")
                }
            )
        }
    }

    // MARK: - What it costs

    /// Expects the time of a script to be about linear in its number of steps.
    private func expectLinear(
        from count: Int,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ script: @escaping (any Encoder, Int) throws -> Void
    ) throws {
        let growth = try growth(from: count) { count in _ = try bytes(of: Scripted<Never> { try script($0, count) }) }
        #expect(growth < 10, sourceLocation: sourceLocation)
    }

    @Test func `two containers take turns in linear time`() throws {
        try expectLinear(from: 3_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            var first = outer.nestedUnkeyedContainer(forKey: "first")
            var second = outer.nestedUnkeyedContainer(forKey: "second")
            for number in 0..<count {
                try first.encode(number)
                try second.encode("\(number)")
            }
        }
    }

    @Test func `a container and those inside it take turns in linear time`() throws {
        try expectLinear(from: 5_000) { encoder, count in
            var outer = encoder.unkeyedContainer()
            var middle = outer.nestedUnkeyedContainer()
            var inner = middle.nestedUnkeyedContainer()
            for number in 0..<count {
                try inner.encode(number)
                try outer.encode(number)
                try middle.encode(number)
            }
        }
    }

    @Test func `very many containers take turns in linear time`() throws {
        try expectLinear(from: 1_000) { encoder, count in
            var outer = encoder.unkeyedContainer()
            var rows = (0..<count).map { _ in outer.nestedUnkeyedContainer() }
            for number in 0..<4 {
                for index in rows.indices { try rows[index].encode(number) }
            }
        }
    }

    @Test func `containers begun late, and values with turns of their own, cost linear time`() throws {
        try expectLinear(from: 1_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            var (first, second) = (
                outer.nestedUnkeyedContainer(forKey: "a"), outer.nestedUnkeyedContainer(forKey: "b")
            )
            for number in 0..<count {
                try second.encode(number)
                var row = first.nestedUnkeyedContainer()
                try second.encode(number)
                try row.encode(number)
                try first.encode(
                    Scripted<Never> { encoder in
                        var pair = encoder.unkeyedContainer()
                        var (left, right) = (pair.nestedUnkeyedContainer(), pair.nestedUnkeyedContainer())
                        try left.encode(number)
                        try right.encode(number)
                    }
                )
                let late = first.superEncoder()
                try second.encode(number)
                try "late".encode(to: late)
            }
        }
    }

    @Test func `nested containers asked for again and again cost linear time`() throws {
        try expectLinear(from: 1_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            for _ in 0..<3 {
                for number in 0..<count {
                    let key = AnyKey(stringValue: "\(number)")
                    _ = outer.nestedContainer(keyedBy: AnyKey.self, forKey: key)
                }
            }
        }
    }

    @Test func `keys written again and again cost linear time`() throws {
        try expectLinear(from: 2_000) { encoder, count in
            var outer = encoder.container(keyedBy: AnyKey.self)
            for round in 0..<3 {
                for number in 0..<count { try outer.encode(round, forKey: AnyKey(stringValue: "\(number)")) }
            }
        }
    }
}
