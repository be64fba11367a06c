// SPDX-License-Identifier: Apache-2.0

/// A place in a ring and how far its stream has come, in one word, so that one store makes a message exist or taken.
///
///     bits   0–31   offset from the ring's start, in units of 16 bytes
///     bits  32–35   lap: how many times the stream went on elsewhere than right behind the record before, modulo 16
///     bits  36–63   sequence: how many messages come before it, modulo 2^28
package struct RingPosition: Hashable, Sendable {
    /// All of it.
    package let word: UInt64

    /// The bytes in a unit.
    package static let unit = 16

    /// The largest offset that can be told, in units.
    package static let largestOffset = Int(UInt32.max)

    /// The largest number of messages that can be told.
    package static let largestCount = 1 << 28 - 1

    /// Creates a position from its word.
    package init(word: UInt64) {
        self.word = word
    }

    /// Creates a position; `lap` and `sequence` are reduced to their bits.
    package init(offset: Int, lap: Int, sequence: Int) {
        word =
            UInt64(UInt32(truncatingIfNeeded: offset)) | UInt64(lap & 15) << 32 | UInt64(sequence & Self.largestCount)
            << 36
    }

    /// Where it is, in units from the ring's start.
    package var offset: Int { Int(truncatingIfNeeded: word & 0xffff_ffff) }

    /// The lap, modulo 16.
    package var lap: Int { Int(truncatingIfNeeded: word >> 32 & 15) }

    /// How many messages come before it, modulo 2^28.
    package var sequence: Int { Int(truncatingIfNeeded: word >> 36) }

    /// How many messages lie between `earlier` and this position.
    package func count(since earlier: RingPosition) -> Int { (sequence - earlier.sequence) & Self.largestCount }

    /// How many laps lie between `earlier` and this position.
    package func laps(since earlier: RingPosition) -> Int { (lap - earlier.lap) & 15 }
}
