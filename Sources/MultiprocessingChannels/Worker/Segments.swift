// SPDX-License-Identifier: Apache-2.0
//
// Large payloads travel in segments of shared memory that sender and receiver both keep mapped: a fresh page costs 0.7 µs and more, a warm one a tenth of that. The sender decides; the receiver learns of a new
// segment by its descriptor.

package import MultiprocessingPrimitives

/// The segments of one direction, as their sender sees them.
package struct SegmentSender: ~Copyable {
    /// A segment to put a payload into.
    package struct Loan {
        /// Its number; `unkept` for one that is used once.
        package let slot: Int
        /// The memory.
        package let region: MemoryRegion
        /// Whether the receiver has to be sent its descriptor.
        package let isNew: Bool

        /// Creates the name of a segment.
        package init(slot: Int, region: MemoryRegion, isNew: Bool) {
            self.slot = slot
            self.region = region
            self.isNew = isNew
        }
    }

    /// The number of a segment that neither side keeps.
    package static let unkept = 0xffff
    /// The most bytes kept in all.
    package static let keptBytes = 512 << 20
    /// The smallest segment.
    private static let smallest = 64 << 10

    private var regions: [MemoryRegion?]
    private var total = 0

    /// The bytes of all that are kept.
    package var bytes: Int { total }

    /// Creates a sender without segments.
    package init() {
        regions = Array(repeating: nil, count: WorkerMemory.segmentCount)
    }

    /// Forgets a segment that the receiver was not told of.
    package mutating func forget(_ slot: Int) {
        guard regions.indices.contains(slot) else { return }
        total -= regions[slot]?.size ?? 0
        regions[slot] = nil
    }

    /// Finds or makes a segment of at least `size` bytes.
    ///
    /// - Parameter isFree: Whether nobody uses the segment with that number.
    /// - Throws: `SystemError` when the machine has no more memory to give.
    package mutating func borrow(_ size: Int, isFree: (Int) -> Bool) throws(SystemError) -> Loan {
        var best: Int?
        var spare: Int?
        for slot in regions.indices where isFree(slot) {
            guard let region = regions[slot] else {
                if spare == nil { spare = slot }
                continue
            }
            if region.size >= size {
                if best.map({ region.size < (regions[$0]?.size ?? .max) }) ?? true { best = slot }
            } else {
                spare = slot
            }
        }
        if let best, let region = regions[best] { return Loan(slot: best, region: region, isNew: false) }
        var rounded = Self.smallest
        while rounded < size { rounded += max(rounded / 2, 65536) & ~65535 }
        guard let spare, total + rounded - (regions[spare]?.size ?? 0) <= Self.keptBytes else {
            return Loan(slot: Self.unkept, region: try Self.make(size), isNew: true)
        }
        total -= regions[spare]?.size ?? 0
        regions[spare] = nil
        let region = try Self.make(rounded)
        total += rounded
        regions[spare] = region
        return Loan(slot: spare, region: region, isNew: true)
    }

    private static func make(_ size: Int) throws(SystemError) -> MemoryRegion {
        try MemoryRegion(size: max(size, 1), name: "multiprocessing-payload")
    }
}

/// The segments of one direction, as their receiver sees them.
package struct SegmentReceiver: ~Copyable {
    private var regions: [MemoryRegion?]

    /// The bytes of all that are kept.
    package var bytes: Int { regions.reduce(0) { $0 + ($1?.size ?? 0) } }

    /// Creates a receiver that knows no segment.
    package init() {
        regions = Array(repeating: nil, count: WorkerMemory.segmentCount)
    }

    /// Learns of a new segment and returns it.
    package mutating func adopt(
        _ descriptor: consuming OwnedDescriptor,
        slot: Int
    ) throws(SystemError) -> MemoryRegion {
        if regions.indices.contains(slot) { regions[slot] = nil }
        let region = try MemoryRegion(adopting: descriptor)
        // Of a thousand results that wait to be read, each may be in a segment.
        region.closeDescriptor()
        if regions.indices.contains(slot) { regions[slot] = region }
        return region
    }

    /// The segment with that number, if it is known and has `size` bytes.
    package func region(_ slot: Int, size: Int) -> MemoryRegion? {
        guard regions.indices.contains(slot), let region = regions[slot], region.size >= size else { return nil }
        return region
    }
}
