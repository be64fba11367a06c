// SPDX-License-Identifier: Apache-2.0

// Each operation returns the value before and after it, as those of `Synchronization.Atomic` do. All but the
// wrapping ones are loops of load and compare-and-exchange.

extension SharedAtomic where Value: FixedWidthInteger {
    /// Replaces the value by what `change` makes of it, which may be called more than once.
    @inlinable
    @discardableResult
    public func update(_ change: (Value) -> Value) -> (oldValue: Value, newValue: Value) {
        var seen = load()
        while true {
            let desired = change(seen)
            let (exchanged, original) = compareExchange(expected: seen, desired: desired)
            if exchanged { return (seen, desired) }
            seen = original
        }
    }

    /// Adds to the value, wrapping around.
    @inlinable
    @discardableResult
    public func wrappingAdd(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        // The same instruction serves numbers with and without a sign.
        let before = Value(truncatingIfNeeded: bits.wrappingAdd(UInt64(truncatingIfNeeded: operand)))
        return (before, before &+ operand)
    }

    /// Subtracts from the value, wrapping around.
    @inlinable
    @discardableResult
    public func wrappingSubtract(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        wrappingAdd(0 &- operand)
    }

    /// Adds to the value; traps on overflow, with the value unchanged.
    @inlinable
    @discardableResult
    public func add(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { $0 + operand }
    }

    /// Subtracts from the value; traps on overflow, with the value unchanged.
    @inlinable
    @discardableResult
    public func subtract(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { $0 - operand }
    }

    /// Keeps the smaller of the value and `operand`.
    @inlinable
    @discardableResult
    public func min(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { Swift.min($0, operand) }
    }

    /// Keeps the larger of the value and `operand`.
    @inlinable
    @discardableResult
    public func max(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { Swift.max($0, operand) }
    }

    /// Keeps the bits that are set in both the value and `operand`.
    @inlinable
    @discardableResult
    public func bitwiseAnd(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { $0 & operand }
    }

    /// Sets the bits that are set in `operand`.
    @inlinable
    @discardableResult
    public func bitwiseOr(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { $0 | operand }
    }

    /// Inverts the bits that are set in `operand`.
    @inlinable
    @discardableResult
    public func bitwiseXor(_ operand: Value) -> (oldValue: Value, newValue: Value) {
        update { $0 ^ operand }
    }
}
