// SPDX-License-Identifier: Apache-2.0

/// Turns values of one flat type into bytes and back in memory that is not theirs, without a buffer in between: numbers, strings, arrays of numbers or of bitwise types, optionals of these.
///
/// No user code runs while that happens, and nothing takes longer than a copy: it may be done in shared memory, under a lock that other processes wait for.
package struct FlatCoding: Sendable {
    // Safe because a plan is never freed and never changes.
    private nonisolated(unsafe) let plan: PlanReference

    /// Creates the coding of `type`; nil when it is not flat.
    @inline(__always)
    package init?<T>(_ type: T.Type) {
        guard let plan = PlanTable.plan(for: type), plan.isFlat else { return nil }
        self.plan = plan
    }

    /// Returns the most bytes that `value` takes.
    @inline(__always)
    package func bound<T>(_ value: T) -> Int {
        plan.with(T.self) { $0.bound(value) }
    }

    /// Writes `value` to `memory`, which has room for `bound` bytes, and returns how many it took.
    @inline(__always)
    package func encode<T>(_ value: T, to memory: UnsafeMutableRawPointer, bound: Int) -> Int {
        var writer = WireWriter(borrowing: memory, capacity: bound)
        plan.with(T.self) { $0.encode(value, into: &writer) }
        return writer.count
    }

    /// Reads the value that has to be all there is in `bytes`.
    ///
    /// - Throws: When something else is there, or a value in another form: the whole decoder tells.
    @inline(__always)
    package func decode<T>(_ type: T.Type, from bytes: UnsafeRawBufferPointer) throws -> T {
        var reader = WireReader(bytes)
        let value = try plan.with(T.self) { try $0.decode(from: &reader) }
        guard reader.isAtEnd else { throw WireCodingError(.trailingBytes, "bytes follow the value", at: reader.offset) }
        return value
    }
}
