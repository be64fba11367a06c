// SPDX-License-Identifier: Apache-2.0
//
// Collections of elements of any type. Arrays of numbers are copied in bulk; other elements are written one by one, with the elements' plan looked up once.

extension Array: WireSpecialized where Element: Codable {}

extension Array: WirePlanned where Element: Codable {
    static func makePlan() -> AnyPlan? {
        if let leaf = Element.self as? any WireLeaf.Type { return leafArrayPlan(leaf) }
        if Element.self is any BitwiseCodable.Type || Element.self is any WireVector.Type {
            return BitwiseArrayPlan<Element>()
        }
        return ListPlan<Element>()
    }
}

/// Makes the plan for an array of a type that the format knows.
private func leafArrayPlan<Element: WireLeaf>(_ type: Element.Type) -> AnyPlan {
    LeafArrayPlan<Element>()
}

extension ContiguousArray: WireSpecialized where Element: Codable {}

extension ContiguousArray: WirePlanned where Element: Codable {
    static func makePlan() -> AnyPlan? {
        // Both kinds of array share their storage on Linux, so that the conversions copy nothing.
        ConvertedPlan<ContiguousArray<Element>, [Element]>(to: { Array($0) }, from: { ContiguousArray($0) })
    }
}

extension Set: WireSpecialized where Element: Codable {}

extension Set: WirePlanned where Element: Codable {
    static func makePlan() -> AnyPlan? {
        ConvertedPlan<Set<Element>, [Element]>(to: { Array($0) }, from: { Set($0) })
    }
}

/// The plan for a collection that is carried as another one.
final class ConvertedPlan<Value, Carried>: WirePlan<Value> {
    /// Makes the value that is carried.
    private let to: (Value) -> Carried
    /// Makes the value from what was carried.
    private let from: (Carried) -> Value
    /// The plan for what is carried.
    private let carried: WirePlan<Carried>?

    /// Creates the plan with the two conversions.
    init(to: @escaping (Value) -> Carried, from: @escaping (Carried) -> Value) {
        self.to = to
        self.from = from
        carried = PlanTable.plan(for: Carried.self)?.kept(for: Carried.self)
        super.init(isLeaf: carried?.isLeaf ?? false)
    }

    /// Returns the plan for what is carried.
    private var plan: WirePlan<Carried> {
        guard let carried else { preconditionFailure("\(Carried.self) has a plan") }
        return carried
    }

    override func encode(_ value: Value, into writer: inout WireWriter) {
        plan.encode(to(value), into: &writer)
    }

    override func encode(_ value: Value, to state: EncodingState) throws {
        try plan.encode(to(value), to: state)
    }

    override func decode(from reader: inout WireReader) throws -> Value {
        from(try plan.decode(from: &reader))
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> Value {
        from(try plan.decode(from: &reader, state: state))
    }
}

/// The plan for an array whose elements are written one by one.
final class ListPlan<Element: Codable>: WirePlan<[Element]> {
    /// The plan for an element; nil when elements have a Codable of their own.
    private let element: WirePlan<Element>?

    /// Creates the plan.
    init() {
        element = PlanTable.plan(for: Element.self)?.kept(for: Element.self)
        super.init(isLeaf: element?.isLeaf ?? false)
    }

    override func encode(_ value: [Element], into writer: inout WireWriter) {
        guard let element else { preconditionFailure("a leaf's elements have a plan") }
        let start = writer.beginContainer(WireTag.list)
        for each in value { element.encode(each, into: &writer) }
        writer.fillContainer(WireTag.list, at: start, to: writer.count, elements: value.count)
    }

    override func encode(_ value: [Element], to state: EncodingState) throws {
        guard !isLeaf else { return encode(value, into: &state.writer) }
        let list = try state.beginPlanned(WireTag.list)
        try state.fillPlanned(list) {
            for each in value {
                if let element {
                    try element.encode(each, to: state)
                } else {
                    try state.encodeByItself(each)
                }
                state.countElement(of: list)
            }
        }
    }

    override func decode(from reader: inout WireReader) throws -> [Element] {
        guard let element else { preconditionFailure("a leaf's elements have a plan") }
        return try decode(from: &reader) { body in try element.decode(from: &body) }
            ?? { throw reader.mismatch([Element].self, at: reader.offset) }()
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> [Element] {
        if isLeaf {
            var attempt = reader
            if let elements = try? decode(from: &attempt) {
                reader = attempt
                return elements
            }
            // Once more, element by element: to read what was written in another form, or to say where the mistake is.
        }

        var index = 0
        let start = reader.offset
        let elements = try decode(from: &reader) { body in
            defer { index += 1 }
            return try state.within(.element(index), of: start, &body) { body in
                if let element { return try element.decode(from: &body, state: state) }
                return try state.decodeByItself(Element.self, from: &body)
            }
        }
        if let elements { return elements }

        // A packed list, whose elements were written as numbers and are to be read as something else.
        var list = try UnkeyedReader(state, from: &reader)
        var result: [Element] = []
        while !list.isAtEnd { result.append(try list.decode(Element.self)) }
        return result
    }

    /// Reads a list by reading each element with `read`. Returns nil, having read nothing, when a packed list is there instead.
    @inline(__always)
    private func decode(
        from reader: inout WireReader,
        _ read: (inout WireReader) throws -> Element
    ) throws -> [Element]? {
        var inner = try reader.unwrapped()
        var result: [Element] = []

        switch try inner.peekTag() {
        case WireTag.list:
            var body = try inner.readContainer()
            let count = try body.readElementCount()
            result.reserveCapacity(ReservedCapacity.limit(count, of: Element.self, bytes: body.remaining))
            while !body.isAtEnd { result.append(try read(&body)) }
        case WireTag.empty:
            inner.offset &+= 1
        case WireTag.packed:
            return nil
        default:
            throw reader.mismatch([Element].self, at: reader.offset)
        }

        try reader.finish(inner)
        return result
    }
}
