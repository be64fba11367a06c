// SPDX-License-Identifier: Apache-2.0

extension Optional: WireSpecialized where Wrapped: Codable {}

extension Optional: WirePlanned where Wrapped: Codable {
    static func makePlan() -> AnyPlan? { OptionalPlan<Wrapped>() }
}

/// The plan for an optional: null, or the value itself, which a tag precedes when it is an optional, too, so that `.some(nil)` is not taken for `nil`.
final class OptionalPlan<Wrapped: Codable>: WirePlan<Wrapped?> {
    /// The plan for what is wrapped; nil when it has a Codable of its own.
    private let wrapped: WirePlan<Wrapped>?
    /// Whether an optional is wrapped.
    private let holdsOptional: Bool

    override var isOptional: Bool { true }

    /// Creates the plan.
    init() {
        wrapped = PlanTable.plan(for: Wrapped.self)?.kept(for: Wrapped.self)
        holdsOptional = wrapped?.isOptional ?? false
        super.init(isLeaf: wrapped?.isLeaf ?? false)
    }

    override var isFlat: Bool { wrapped?.isFlat ?? false }

    override func bound(_ value: Wrapped?) -> Int {
        guard let wrapped, let value else { return 1 }
        return 1 + wrapped.bound(value)
    }

    override func encode(_ value: Wrapped?, into writer: inout WireWriter) {
        guard let wrapped else { preconditionFailure("a leaf's value has a plan") }
        guard let value else { return writer.writeTag(WireTag.null) }
        if holdsOptional { writer.writeTag(WireTag.some) }
        wrapped.encode(value, into: &writer)
    }

    override func encode(_ value: Wrapped?, to state: EncodingState) throws {
        guard let value else { return state.writer.writeTag(WireTag.null) }
        if holdsOptional { state.writer.writeTag(WireTag.some) }
        if let wrapped {
            try wrapped.encode(value, to: state)
        } else {
            try state.encodeByItself(value)
        }
    }

    override func decode(from reader: inout WireReader) throws -> Wrapped? {
        guard let wrapped else { preconditionFailure("a leaf's value has a plan") }
        guard try readIsSome(&reader) else { return nil }
        return try wrapped.decode(from: &reader)
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> Wrapped? {
        guard try readIsSome(&reader) else { return nil }
        if let wrapped { return try wrapped.decode(from: &reader, state: state) }
        return try state.decodeByItself(Wrapped.self, from: &reader)
    }

    /// Reads null, or what precedes a value. Returns whether a value follows.
    @inline(__always)
    private func readIsSome(_ reader: inout WireReader) throws -> Bool {
        // Written as an optional of an optional, read as one of its levels only.
        while !holdsOptional, try reader.peekTag() == WireTag.some { reader.offset &+= 1 }
        if try reader.isNull() {
            try reader.skipValue()
            return false
        }
        if holdsOptional, try reader.peekTag() == WireTag.some { reader.offset &+= 1 }
        return true
    }
}
