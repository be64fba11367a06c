// SPDX-License-Identifier: Apache-2.0
//
// Where the next record of a ring goes. Pure: numbers in, a decision out.
//
// A record lies in one piece. As long as it ends before `soft` it follows the one before; then the stream goes back to `first`, where the memory is warm, as soon as the records
// there have been taken. While they have not it goes on behind, into memory that is allocated at need. Caught between the records at the front and those behind (it has wrapped, and is about to run into
// the oldest one) it jumps out behind them all and goes on from there. Each such step begins a new lap and leaves a skip record, for which one unit behind every record is kept free.
//
// So live records lie in at most three pieces: [head, …) of the oldest lap, a whole lap, and […, tail) of the newest.

/// The memory that a ring may use, in units of 16 bytes.
package struct RingStateMachine: Hashable, Sendable {
    /// The first offset for records.
    package let first: Int

    /// Where the stream prefers to go back to `first`.
    package let soft: Int

    /// The offset after the last.
    package let end: Int

    /// Creates the rules for records in `first..<end`.
    package init(first: Int, soft: Int, end: Int) {
        self.first = first
        self.soft = soft
        self.end = end
    }

    /// What lies in the ring.
    package struct Occupancy: Hashable, Sendable {
        /// Where the oldest live record begins.
        package var head: Int
        /// Where the next record would go.
        package var tail: Int
        /// How many laps the head is behind: 0, 1 or 2.
        package var lapsBehind: Int
        /// Where the newest lap began.
        package var start: Int
        /// Where the lap before it began and ended.
        package var previous: Range<Int>
        /// Where the lap before that ended.
        package var endBeforePrevious: Int

        /// Creates a description of what lies in a ring.
        package init(head: Int, tail: Int, lapsBehind: Int, start: Int, previous: Range<Int>, endBeforePrevious: Int) {
            self.head = head
            self.tail = tail
            self.lapsBehind = lapsBehind
            self.start = start
            self.previous = previous
            self.endBeforePrevious = endBeforePrevious
        }

        /// The units between head and tail.
        package var used: Int {
            switch lapsBehind {
            case 0: tail - head
            case 1: previous.upperBound - head + tail - start
            default: endBeforePrevious - head + previous.count + tail - start
            }
        }
    }

    /// Where a record goes.
    package enum Placement: Hashable, Sendable {
        /// At the tail.
        case here
        /// There, with a skip record at the tail.
        case elsewhere(Int)
        /// Nowhere before some record has been taken.
        case nowhere
    }

    /// The largest record that finds a place whenever the ring is empty.
    package var largestRecord: Int { (end - first) / 2 - 2 }

    /// Decides where a record of `size` units goes.
    package func place(_ size: Int, _ occupancy: Occupancy) -> Placement {
        // With the unit for a skip record.
        let needed = size + 1
        let tail = occupancy.tail
        switch occupancy.lapsBehind {
        case 0:
            if tail + needed <= soft { return .here }
            if first + needed <= occupancy.head { return .elsewhere(first) }
            return tail + needed <= end ? .here : .nowhere
        case 1 where occupancy.start < occupancy.previous.upperBound:
            // The stream has wrapped; the oldest records lie behind it.
            if tail + needed <= occupancy.head { return .here }
            return occupancy.previous.upperBound + needed <= end ? .elsewhere(occupancy.previous.upperBound) : .nowhere
        default:
            return tail + needed <= end ? .here : .nowhere
        }
    }
}
