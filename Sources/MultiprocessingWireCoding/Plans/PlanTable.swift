// SPDX-License-Identifier: Apache-2.0
//
// An insert-only hash table with open addressing. Readers take no lock: a slot's key is published after its plan, and neither changes any more. Slots are never
// given back; types are few.

internal import MultiprocessingPrimitives
internal import Synchronization

/// The plans of all types seen so far, found by the address of the type's metadata.
final class PlanTable: Sendable {
    /// The table of this process.
    static let shared = PlanTable()

    /// The number of slots, a power of two. Types that find no slot are looked up in `overflow`.
    private static let slotCount = 2048
    /// How many slots after a type's own one may hold it.
    private static let probes = 8

    /// A type and its plan.
    private struct Slot: ~Copyable {
        /// The address of the metadata; 0 while the slot is free.
        let type = Atomic<UInt>(0)
        /// The address of the plan; 0 when the type has none.
        let plan = Atomic<UInt>(0)
    }

    /// The slots. Safe because a slot is two atomics, and the memory is never freed.
    private nonisolated(unsafe) let slots: UnsafeMutablePointer<Slot>

    /// The plans of types that found no slot, and the lock under which slots are filled.
    private let overflow = PlainMutex<[UInt: UInt]>(ofProcess: [:])

    /// Creates an empty table.
    private init() {
        slots = .allocate(capacity: Self.slotCount)
        for index in 0..<Self.slotCount { (slots + index).initialize(to: Slot()) }
    }

    /// Returns a reference to the plan for a type; nil when its values go through their own Codable.
    @inline(__always)
    static func plan<Value>(for type: Value.Type) -> PlanReference? {
        UnsafeRawPointer(bitPattern: shared.address(of: type)).map { PlanReference(pointer: $0) }
    }

    /// Returns the address of the plan for a type, 0 when it has none.
    @inline(__always)
    private func address<Value>(of type: Value.Type) -> UInt {
        let key = UInt(bitPattern: ObjectIdentifier(type))
        let first = Self.slot(of: key)
        // Pairs with the release in `insert`.
        if slots[first].type.load(ordering: .acquiring) == key {
            return slots[first].plan.load(ordering: .relaxed)
        }
        return search(key, from: first) ?? make(type, key)
    }

    /// Looks through the slots after the first.
    private func search(_ key: UInt, from first: Int) -> UInt? {
        for step in 1..<Self.probes {
            let index = (first + step) & (Self.slotCount - 1)
            // Pairs with the release in `insert`.
            let found = slots[index].type.load(ordering: .acquiring)
            if found == key { return slots[index].plan.load(ordering: .relaxed) }
            if found == 0 { return nil }
        }
        return overflow.withLock { $0[key] }
    }

    /// Makes the plan of a type seen for the first time. Outside the lock, because a plan looks for the plans of its parts.
    @inline(never)
    private func make<Value>(_ type: Value.Type, _ key: UInt) -> UInt {
        guard let plan = makePlan(for: type) else { return insert(key, 0) }
        precondition(plan is WirePlan<Value>, "the plan of \(Value.self) is for another type")
        // Retained for ever. Two threads may make a plan for one type; the second is forgotten, which costs a few bytes once.
        return insert(key, UInt(bitPattern: Unmanaged.passRetained(plan).toOpaque()))
    }

    /// Puts a plan where readers find it, and returns the one that is there.
    private func insert(_ key: UInt, _ plan: UInt) -> UInt {
        overflow.withLock { overflow in
            let first = Self.slot(of: key)

            for step in 0..<Self.probes {
                let index = (first + step) & (Self.slotCount - 1)
                let found = slots[index].type.load(ordering: .relaxed)
                if found == key { return slots[index].plan.load(ordering: .relaxed) }
                guard found == 0 else { continue }
                slots[index].plan.store(plan, ordering: .relaxed)
                // Pairs with the acquire in `address` and `search`: who sees the type sees its plan.
                slots[index].type.store(key, ordering: .releasing)
                return plan
            }

            if let found = overflow[key] { return found }
            overflow[key] = plan
            return plan
        }
    }

    /// Returns the slot where the search for a type begins.
    @inline(__always)
    private static func slot(of key: UInt) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 53)
    }
}

/// A reference to a plan. Plans are never freed, so that it needs no reference count, for which threads that encode the same type would fight.
///
/// Not generic on purpose: a generic type costs unspecialised code a look-up of its metadata at each use.
struct PlanReference {
    /// Where the plan is.
    let pointer: UnsafeRawPointer

    /// Calls `body` with the plan, which must be that of `Value`.
    @inline(__always)
    func with<Value, Result>(_ type: Value.Type, _ body: (WirePlan<Value>) throws -> Result) rethrows -> Result {
        try Unmanaged<WirePlan<Value>>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
    }

    /// Whether the plan never calls user code.
    @inline(__always)
    var isLeaf: Bool { Unmanaged<AnyPlan>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.isLeaf } }

    /// How values are carried if they are arrays whose elements are copied as they lie in memory.
    var bulk: BulkArrays? { Unmanaged<AnyPlan>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.bulk } }

    /// Whether the plan is that of a flat type.
    @inline(__always)
    var isFlat: Bool { Unmanaged<AnyPlan>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.isFlat } }

    /// Whether the plan is that of an optional type.
    @inline(__always)
    var isOptional: Bool { Unmanaged<AnyPlan>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.isOptional } }

    /// The plan, which must be that of `Value`, to be kept by another plan.
    func kept<Value>(for type: Value.Type) -> WirePlan<Value> {
        Unmanaged<WirePlan<Value>>.fromOpaque(pointer).takeUnretainedValue()
    }
}

/// Makes the plan for a type, or returns nil when its values go through their own Codable.
private func makePlan<Value>(for type: Value.Type) -> AnyPlan? {
    guard type is any WireSpecialized.Type else { return nil }
    if let planned = type as? any WirePlanned.Type { return planned.makePlan() }
    if let bulk = type as? any WireBulkValue.Type { return bulk.makeBulkPlan() }
    if let bitwise = type as? any BitwiseCodable.Type { return bitwise.makeBitwisePlan() }
    return nil
}
