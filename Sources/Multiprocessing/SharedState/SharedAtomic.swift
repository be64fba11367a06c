// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
public import Synchronization

/// A value that processes change without a lock, each operation in one step.
///
/// ```swift
/// let hits = try SharedAtomic(0)
/// try ChildProcess { hits.wrappingAdd(1) }.start()
/// ```
///
/// All operations are sequentially consistent: all processes see them in the same order. No process can be killed in the middle of one. The memory has no name and is freed with its last user.
public final class SharedAtomic<Value: AtomicRepresentable & BitwiseCopyable & Sendable>: Codable, Sendable {
    /// Keeps the memory.
    private let region: MemoryRegion

    /// The value's bits.
    @usableFromInline
    let bits: AtomicBits

    private static var size: Int { MemoryLayout<Value.AtomicRepresentation>.size }

    /// Puts `value` into new shared memory.
    ///
    /// - Throws: `SharedStateError`: `containsPointer` when `Value` holds an address, `invalidSize` when it has more than 8 bytes.
    ///   `SystemError` when there is no memory or descriptor for it.
    public init(_ value: Value) throws {
        try PointerCheck.check(Value.self, as: Self.self)
        guard AtomicBits.sizes.contains(Self.size) else {
            throw SharedStateError(
                .invalidSize,
                "\(Self.self) has \(Self.size) bytes; an atomic value has 1, 2, 4 or 8"
            )
        }
        region = try HandleMemory.make(.atomic, contentSize: MemoryLayout<UInt64>.size, elementSize: Self.size)
        bits = AtomicBits(base: region.base + HandleMemory.contentOffset, size: Self.size)
        store(value)
    }

    // MARK: - Operations

    /// Returns the value.
    @inlinable
    public func load() -> Value {
        Self.value(bits.load())
    }

    /// Sets the value.
    @inlinable
    public func store(_ value: Value) {
        _ = bits.exchange(Self.bits(value))
    }

    /// Sets the value and returns the one before.
    @inlinable
    @discardableResult
    public func exchange(_ value: Value) -> Value {
        Self.value(bits.exchange(Self.bits(value)))
    }

    /// Sets the value to `desired` if it is `expected`, compared bit by bit; returns whether it was, and what it was.
    @inlinable
    @discardableResult
    public func compareExchange(expected: Value, desired: Value) -> (exchanged: Bool, original: Value) {
        let (exchanged, original) = bits.compareExchange(Self.bits(expected), Self.bits(desired))
        return (exchanged, Self.value(original))
    }

    // MARK: - Bits

    /// The value's bits, the upper ones 0 where it has less than 64.
    @inlinable
    static func bits(_ value: Value) -> UInt64 {
        var bits: UInt64 = 0
        withUnsafeMutableBytes(of: &bits) {
            $0.storeBytes(of: Value.encodeAtomicRepresentation(value), as: Value.AtomicRepresentation.self)
        }
        return bits
    }

    /// The value with the given bits.
    @inlinable
    static func value(_ bits: UInt64) -> Value {
        withUnsafeBytes(of: bits) {
            Value.decodeAtomicRepresentation($0.load(as: Value.AtomicRepresentation.self))
        }
    }

    // MARK: - Sending

    /// Decodes the value's place in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        region = try HandleMemory.decode(
            .atomic,
            contentSize: MemoryLayout<UInt64>.size,
            elementSize: Self.size,
            type: Self.self,
            from: try decoder.singleValueContainer(),
            decoder
        )
        bits = AtomicBits(base: region.base + HandleMemory.contentOffset, size: Self.size)
    }

    /// Encodes the value's place, not the value, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: encoder)
    }
}

extension SharedAtomic: CustomStringConvertible {
    /// The type and the value at this moment.
    public var description: String { "SharedAtomic(\(load()))" }
}
