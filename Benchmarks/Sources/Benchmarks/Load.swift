// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// Work that takes some hundred microseconds, of three kinds. What it needs is the same for threads and processes; what it shares is not.
enum Load {
    /// An object that every piece of work of a process holds and lets go.
    private final class Shared: Sendable {}

    private static let shared = Shared()

    /// Computes with a few numbers and touches no memory.
    @Sendable @inline(never)
    static func compute(_ seed: Int) -> Int {
        var state = UInt64(bitPattern: Int64(seed)) | 1
        // Shifted as well, so that no optimiser finds out where many steps lead.
        for _ in 0..<200_000 { state = (state ^ (state >> 29)) &* 6_364_136_223_846_793_005 &+ 1 }
        return Int(truncatingIfNeeded: state >> 33)
    }

    /// Allocates a few hundred strings and the nodes of a dictionary, and lets go of them.
    @Sendable @inline(never)
    static func allocate(_ seed: Int) -> Int {
        var lengths: [Int: String] = [:]
        for number in 0..<200 {
            lengths[number &* 31 &+ seed] = String(repeating: "x", count: 16 + number & 63)
        }
        return lengths.reduce(0) { $0 &+ $1.value.utf8.count }
    }

    /// Holds one object and lets go of it, again and again: all threads of a process count in the same word.
    @Sendable @inline(never)
    static func countReferences(_ seed: Int) -> Int {
        var holders: [Shared] = []
        holders.reserveCapacity(256)
        var sum = seed
        for _ in 0..<100 {
            for _ in 0..<256 { holders.append(shared) }
            keep(holders)
            sum &+= holders.count
            holders.removeAll(keepingCapacity: true)
        }
        return sum
    }
}
