// SPDX-License-Identifier: Apache-2.0

public import Synchronization

/// An atomic of 1, 2, 4 or 8 bytes in memory that somebody else keeps, seen as an unsigned number.
///
/// `Synchronization.Atomic` has its operations per size, not for every representable type; this picks the size at run time, which the compiler does at compile time once it knows the type.
/// All operations are sequentially consistent.
@usableFromInline
struct AtomicBits: @unchecked Sendable {
    // Safe because every access is atomic.
    @usableFromInline
    let base: UnsafeMutableRawPointer

    @usableFromInline
    let size: Int

    /// The sizes there are.
    static let sizes = [1, 2, 4, 8]

    /// A view of the `size` bytes at `base`, a multiple of `size`.
    init(base: UnsafeMutableRawPointer, size: Int) {
        self.base = base
        self.size = size
    }

    @inlinable
    func atomic<Bits>(_: Bits.Type) -> UnsafeMutablePointer<Atomic<Bits>> {
        base.assumingMemoryBound(to: Atomic<Bits>.self)
    }

    @inlinable
    func load() -> UInt64 {
        switch size {
        case 1: UInt64(atomic(UInt8.self).pointee.load(ordering: .sequentiallyConsistent))
        case 2: UInt64(atomic(UInt16.self).pointee.load(ordering: .sequentiallyConsistent))
        case 4: UInt64(atomic(UInt32.self).pointee.load(ordering: .sequentiallyConsistent))
        default: atomic(UInt64.self).pointee.load(ordering: .sequentiallyConsistent)
        }
    }

    @inlinable
    func exchange(_ bits: UInt64) -> UInt64 {
        switch size {
        case 1:
            UInt64(
                atomic(UInt8.self).pointee.exchange(UInt8(truncatingIfNeeded: bits), ordering: .sequentiallyConsistent)
            )
        case 2:
            UInt64(
                atomic(UInt16.self).pointee.exchange(
                    UInt16(truncatingIfNeeded: bits),
                    ordering: .sequentiallyConsistent
                )
            )
        case 4:
            UInt64(
                atomic(UInt32.self).pointee.exchange(
                    UInt32(truncatingIfNeeded: bits),
                    ordering: .sequentiallyConsistent
                )
            )
        default:
            atomic(UInt64.self).pointee.exchange(bits, ordering: .sequentiallyConsistent)
        }
    }

    @inlinable
    func compareExchange(_ expected: UInt64, _ desired: UInt64) -> (exchanged: Bool, original: UInt64) {
        switch size {
        case 1:
            let result = atomic(UInt8.self).pointee.compareExchange(
                expected: UInt8(truncatingIfNeeded: expected),
                desired: UInt8(truncatingIfNeeded: desired),
                ordering: .sequentiallyConsistent
            )
            return (result.exchanged, UInt64(result.original))
        case 2:
            let result = atomic(UInt16.self).pointee.compareExchange(
                expected: UInt16(truncatingIfNeeded: expected),
                desired: UInt16(truncatingIfNeeded: desired),
                ordering: .sequentiallyConsistent
            )
            return (result.exchanged, UInt64(result.original))
        case 4:
            let result = atomic(UInt32.self).pointee.compareExchange(
                expected: UInt32(truncatingIfNeeded: expected),
                desired: UInt32(truncatingIfNeeded: desired),
                ordering: .sequentiallyConsistent
            )
            return (result.exchanged, UInt64(result.original))
        default:
            return atomic(UInt64.self).pointee.compareExchange(
                expected: expected,
                desired: desired,
                ordering: .sequentiallyConsistent
            )
        }
    }

    /// Adds, wrapping around, and returns the bits before.
    @inlinable
    func wrappingAdd(_ operand: UInt64) -> UInt64 {
        switch size {
        case 1:
            UInt64(
                atomic(UInt8.self).pointee.wrappingAdd(
                    UInt8(truncatingIfNeeded: operand),
                    ordering: .sequentiallyConsistent
                ).oldValue
            )
        case 2:
            UInt64(
                atomic(UInt16.self).pointee.wrappingAdd(
                    UInt16(truncatingIfNeeded: operand),
                    ordering: .sequentiallyConsistent
                ).oldValue
            )
        case 4:
            UInt64(
                atomic(UInt32.self).pointee.wrappingAdd(
                    UInt32(truncatingIfNeeded: operand),
                    ordering: .sequentiallyConsistent
                ).oldValue
            )
        default:
            atomic(UInt64.self).pointee.wrappingAdd(operand, ordering: .sequentiallyConsistent).oldValue
        }
    }
}
