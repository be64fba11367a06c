// SPDX-License-Identifier: Apache-2.0
//
// How a type's values are carried when it is not by the type's own Codable. A plan is made once for each type and found again by the address of the type's metadata (see
// PlanTable), so that no value pays for a dynamic cast.

/// A plan for an unknown type: what the table holds.
class AnyPlan {
    /// Whether the plan never calls user code: then it needs no coder, only bytes.
    let isLeaf: Bool

    /// Whether the plan is that of an optional type.
    var isOptional: Bool { false }

    /// How values are carried if they are arrays whose elements are copied as they lie in memory.
    var bulk: BulkArrays? { nil }

    /// Whether the plan is a leaf's that knows how many bytes a value takes before it writes it (`WirePlan.bound`), and copies more than it looks at.
    var isFlat: Bool { false }

    /// Creates a plan.
    init(isLeaf: Bool) {
        self.isLeaf = isLeaf
    }
}

/// How values of `Value` are carried.
///
/// A leaf overrides the two methods without a state, any other plan the two with one.
class WirePlan<Value>: AnyPlan {
    /// Returns the most bytes that `encode` writes for `value`. Only for flat plans.
    func bound(_ value: Value) -> Int {
        preconditionFailure("the plan for \(Value.self) is not flat")
    }

    /// Writes a value. Only for leaves.
    func encode(_ value: Value, into writer: inout WireWriter) {
        preconditionFailure("the plan for \(Value.self) is no leaf")
    }

    /// Writes a value that may hold values with a `Codable` of their own.
    func encode(_ value: Value, to state: EncodingState) throws {
        encode(value, into: &state.writer)
    }

    /// Reads a value. Only for leaves.
    func decode(from reader: inout WireReader) throws -> Value {
        preconditionFailure("the plan for \(Value.self) is no leaf")
    }

    /// Reads a value that may hold values with a `Codable` of their own.
    func decode(from reader: inout WireReader, state: DecodingState) throws -> Value {
        try decode(from: &reader)
    }
}

/// A type that may have a plan. It has no requirements: it is what the first look at a type asks for, since each question to the runtime about a conformance
/// that does not exist costs a search of the whole program.
public protocol WireSpecialized {}

/// A type that makes its own plan.
protocol WirePlanned: WireSpecialized {
    /// Makes the plan for this type (a `WirePlan<Self>`), or returns nil when its own Codable does better.
    static func makePlan() -> AnyPlan?
}
