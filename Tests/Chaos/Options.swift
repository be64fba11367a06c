// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the command line asks for.
struct Options {
    /// How long to go on.
    var seconds = 30
    /// What all random numbers follow from.
    var seed = UInt64.random(in: 0..<1_000_000)
    /// The only round to play; nil: one after the other.
    var round: Int?

    /// How the program is called.
    static let usage = "usage: Chaos [--seconds N] [--seed S] [--round R]"

    /// Reads the arguments; nil if they make no sense.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let text = rest.popFirst(), let value = UInt64(text) else { return nil }
            switch name {
            case "--seconds": seconds = Int(clamping: value)
            case "--seed": seed = value
            case "--round": round = Int(clamping: value)
            default: return nil
            }
        }
    }
}

/// Numbers that follow from a seed (splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Seeded: RandomNumberGenerator, Codable, Sendable {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// The numbers of a part of the whole.
    init(seed: UInt64, part: Int) {
        var whole = Seeded(seed: seed &+ UInt64(truncatingIfNeeded: part) &* 0x2545_f491_4f6c_dd1d)
        state = whole.next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True once in `count` times.
    mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}
