// SPDX-License-Identifier: Apache-2.0

/// Those who wait for room in a pool's queue, first come, first served. Pure: what a waiter is, and how it is told, only the pool knows.
///
///      wait ──▶ in line ──call──▶ called ──leave──▶ gone
///                  ▲                │ │
///                  └──wait again────┘ └ counts as one who takes room, until it leaves or waits again
///
/// For room that one was called for nobody else is called, so that each slot that becomes free wakes one of them. It is not kept for him: whoever comes by may take it, since the one who was called may have to wait for others
/// before he can go on. Then he is the first in line again. Whoever leaves without a word makes way for the next, as long as `call` follows.
struct RoomQueue<Waiter> {
    /// Stands for one who waits, from the first time until he leaves.
    struct Place: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Entry {
        let waiter: Waiter
        /// How many bytes he is about to add.
        let bytes: Int
        var isCalled = false
    }

    private var entries: [Place: Entry] = [:]
    /// Those in line, in order; and some that have left. Each is here once.
    private var line = FIFO<Place>()
    private var lastNumber: UInt64 = 0
    /// How many were called, and with how many bytes.
    private var called = (count: 0, bytes: 0)

    /// Whether somebody is in line.
    var isWaiting: Bool { entries.count > called.count }

    /// Lets one in: at the end of the line, or in front if he was called and found no room.
    ///
    /// - Parameter place: His place; nil for one who comes for the first time, who gets one.
    mutating func wait(_ waiter: Waiter, bytes: Int, at place: inout Place?) {
        guard let known = place, let old = entries[known] else {
            lastNumber += 1
            let new = Place(number: lastNumber)
            entries[new] = Entry(waiter: waiter, bytes: bytes)
            line.append(new)
            place = new
            return
        }
        if old.isCalled {
            uncall(old)
            line.prepend(known)
        }
        entries[known] = Entry(waiter: waiter, bytes: bytes)
    }

    /// Calls the next ones in line who find room.
    ///
    /// - Parameters:
    ///   - tasks: How many more there is room for.
    ///   - bytes: How many bytes; one who has more is let in as well, as long as there is one left.
    /// - Returns: Those to be told.
    mutating func call(tasks: Int, bytes: Int) -> [Waiter] {
        var told: [Waiter] = []
        while called.count < tasks, called.bytes < bytes, let place = line.popFirst() {
            // He may have left.
            guard let entry = entries[place] else { continue }
            entries[place]?.isCalled = true
            called.count += 1
            called.bytes += entry.bytes
            told.append(entry.waiter)
        }
        return told
    }

    /// Lets one go, who has what he wanted or does not want it any more. If he was called, others may be now.
    mutating func leave(_ place: Place) {
        guard let entry = entries.removeValue(forKey: place) else { return }
        if entry.isCalled { return uncall(entry) }
        // Those who leave before they are called lie in the line until it comes to them, or there are too many of them.
        if line.count > 2 * entries.count + 32 { tidy() }
    }

    private mutating func uncall(_ entry: Entry) {
        called.count -= 1
        called.bytes -= entry.bytes
    }

    private mutating func tidy() {
        var rest = FIFO<Place>()
        for place in line.all where entries[place] != nil { rest.append(place) }
        line = rest
    }
}
