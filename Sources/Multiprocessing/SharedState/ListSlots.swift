// SPDX-License-Identifier: Apache-2.0
//
// What a shareable list lies in:
//
//   offset   size
//        0     64   header (HandleMemory.swift): the number of slots
//       64   24×n   the slots
//        …      …   what strings and bytes consist of, each at a multiple of 8
//
// A slot:
//        0      4   kind
//        4      4   length in bytes, of a string or bytes
//        8      4   capacity in bytes
//       12      4   offset of its room, in units of 8 bytes from the region's start
//       16      8   the value of a number or Boolean
//
// Other processes may write at any time, and other programs to a named list: nothing that is read here is trusted to be in range.

internal import MultiprocessingPrimitives

/// The slots of a list in a region.
struct ListSlots: Sendable {
    /// Keeps the memory.
    let region: MemoryRegion
    let count: Int

    private static let slotSize = 24

    private enum Kind: UInt32 {
        case none
        case boolean
        case integer
        case double
        case string
        case bytes
    }

    /// Where everything goes in a new list.
    struct Layout {
        fileprivate let capacities: [Int]
        let size: Int

        /// Plans the slots for `elements`, each with at least `slotCapacity` bytes.
        ///
        /// - Throws: `SharedStateError` (`invalidSize`) beyond 32 GiB in all or 2 GiB in one slot.
        init(of elements: [ShareableList.Element], slotCapacity: Int) throws(SharedStateError) {
            let capacities = elements.map { max($0.byteCount, slotCapacity) }
            let total = capacities.reduce(0) { $0 + min($1, 1 << 40) + 7 }
            guard slotCapacity >= 0, capacities.allSatisfy({ $0 <= Int(Int32.max) }), total < 32 << 30 else {
                throw SharedStateError(.invalidSize, "a shareable list of \(elements.count) elements is too large")
            }
            self.capacities = capacities
            size = capacities.reduce(ListSlots.end(ofSlots: elements.count)) { $0 + ($1 + 7) / 8 * 8 }
        }
    }

    private static func end(ofSlots count: Int) -> Int { HandleMemory.contentOffset + slotSize * count }

    /// The slots in `region`, a list of `count` elements.
    init(region: MemoryRegion, count: Int) {
        self.region = region
        self.count = count
    }

    /// The slots in a region that came from elsewhere.
    ///
    /// - Throws: `SharedStateError` (`notAList`).
    init(checking region: MemoryRegion) throws(SharedStateError) {
        let count = HandleMemory.isKind(.list, region) ? HandleMemory.count(of: region) : -1
        let (size, overflow) = count.multipliedReportingOverflow(by: Self.slotSize)
        guard count >= 0, !overflow, size <= region.size - HandleMemory.contentOffset else {
            throw SharedStateError(.notAList, "the shared memory does not hold a shareable list")
        }
        self.init(region: region, count: count)
    }

    /// Writes down which room belongs to which slot.
    func lay(out layout: Layout) {
        var offset = Self.end(ofSlots: count)
        for (index, capacity) in layout.capacities.enumerated() {
            slot(index).storeBytes(of: UInt32(capacity), toByteOffset: 8, as: UInt32.self)
            slot(index).storeBytes(of: UInt32(offset / 8), toByteOffset: 12, as: UInt32.self)
            offset += (capacity + 7) / 8 * 8
        }
    }

    private func slot(_ index: Int) -> UnsafeMutableRawPointer {
        region.base + HandleMemory.contentOffset + Self.slotSize * index
    }

    /// The room of a slot, cut to what the region has.
    private func room(_ index: Int) -> UnsafeMutableRawBufferPointer {
        let start = min(Int(slot(index).load(fromByteOffset: 12, as: UInt32.self)) * 8, region.size)
        let capacity = Int(slot(index).load(fromByteOffset: 8, as: UInt32.self))
        return UnsafeMutableRawBufferPointer(start: region.base + start, count: min(capacity, region.size - start))
    }

    /// The bytes that the slot has for a string or bytes.
    func capacity(at index: Int) -> Int { room(index).count }

    // MARK: - Elements

    /// Returns the element at `index`, which is in range.
    func read(at index: Int) -> ShareableList.Element {
        let slot = slot(index)
        switch Kind(rawValue: slot.load(as: UInt32.self)) {
        case .boolean: return .boolean(slot.load(fromByteOffset: 16, as: Int64.self) != 0)
        case .integer: return .integer(slot.load(fromByteOffset: 16, as: Int64.self))
        case .double: return .double(slot.load(fromByteOffset: 16, as: Double.self))
        case .string: return .string(String(decoding: content(index), as: UTF8.self))
        case .bytes: return .bytes([UInt8](content(index)))
        case Kind.none?, nil: return .none
        }
    }

    private func content(_ index: Int) -> UnsafeMutableRawBufferPointer {
        let room = room(index)
        let length = Int(slot(index).load(fromByteOffset: 4, as: UInt32.self))
        return UnsafeMutableRawBufferPointer(rebasing: room.prefix(length))
    }

    /// Puts `element` into the slot at `index`, which is in range.
    ///
    /// - Throws: `SharedStateError` (`tooLong`) when it does not fit.
    func write(_ element: ShareableList.Element, at index: Int) throws(SharedStateError) {
        switch element {
        case .none: set(index, .none, number: 0)
        case .boolean(let value): set(index, .boolean, number: value ? 1 : 0)
        case .integer(let value): set(index, .integer, number: value)
        case .double(let value): set(index, .double, number: Int64(bitPattern: value.bitPattern))
        case .string(let value): try set(index, .string, content: Array(value.utf8))
        case .bytes(let value): try set(index, .bytes, content: value)
        }
    }

    private func set(_ index: Int, _ kind: Kind, number: Int64) {
        slot(index).storeBytes(of: number, toByteOffset: 16, as: Int64.self)
        slot(index).storeBytes(of: kind.rawValue, as: UInt32.self)
    }

    private func set(_ index: Int, _ kind: Kind, content: [UInt8]) throws(SharedStateError) {
        let room = room(index)
        guard content.count <= room.count else {
            throw SharedStateError(
                .tooLong,
                "an element of \(content.count) bytes does not fit into slot \(index) of a shareable list, which has \(room.count)"
            )
        }
        room.copyBytes(from: content)
        slot(index).storeBytes(of: UInt32(content.count), toByteOffset: 4, as: UInt32.self)
        slot(index).storeBytes(of: kind.rawValue, as: UInt32.self)
    }
}

extension ShareableList.Element {
    /// The bytes it needs in a slot's room.
    fileprivate var byteCount: Int {
        switch self {
        case .string(let value): value.utf8.count
        case .bytes(let value): value.count
        default: 0
        }
    }
}
