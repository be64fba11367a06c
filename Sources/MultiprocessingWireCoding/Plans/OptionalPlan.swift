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
        return try read(&reader) { try wrapped.decode(from: &$0) }
    }

    override func decode(from reader: inout WireReader, state: DecodingState) throws -> Wrapped? {
        try read(&reader) { reader in
            if let wrapped { return try wrapped.decode(from: &reader, state: state) }
            return try state.decodeByItself(Wrapped.self, from: &reader)
        }
    }

    /// Reads null, or by `body` the value that is there.
    @inline(__always)
    private func read(_ reader: inout WireReader, _ body: (inout WireReader) throws -> Wrapped) throws -> Wrapped? {
        let tag = try reader.peekTag()
        if tag == WireTag.null {
            reader.offset &+= 1
            return nil
        }
        guard tag == WireTag.some || tag == WireTag.box else { return try body(&reader) }

        guard var inner = try content(of: reader) else {
            try reader.skipValue()
            return nil
        }
        let value = try body(&inner)
        try reader.finish(inner)
        return value
    }

    /// Returns a reader at what the optional or the box where `reader` stands holds; nil when that is null.
    @inline(never)
    private func content(of reader: WireReader) throws -> WireReader? {
        var inner = try reader.unboxed()
        if holdsOptional, try inner.peekTag() == WireTag.some {
            // This optional holds another one, which may be null.
            inner.offset &+= 1
            return inner
        }
        // Written as an optional of an optional, read as one of its levels only.
        while !holdsOptional, try inner.peekTag() == WireTag.some { inner.offset &+= 1 }
        return try inner.isNull() ? nil : inner
    }
}
