// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A list of fixed length whose elements are of different kinds, in memory that processes share.
///
/// ```swift
/// let list = try ShareableList([1, 2.5, true, "text", nil])
/// try list.replaceElement(at: 3, with: "TEXT")
/// ```
///
/// An element may be replaced by one of another kind as long as it fits into its slot: numbers, Booleans and nil always do, a string or bytes need no more bytes than the slot was made for. Nothing is
/// cut off and nothing added: strings keep their NULs and their multibyte characters.
///
/// The list has no lock. A reader of an element that another process is replacing may see a mixture of both; it never reads beyond the slot. Without a name the memory is freed with its last user;
/// with one it stays until ``unlink()``.
public final class ShareableList: Codable, Sendable {
    /// What travels beside the memory.
    private enum CodingKeys: CodingKey {
        case memory
        case name
    }

    let slots: ListSlots

    /// The name, for a list that has one.
    public let name: String?

    /// Makes a list of `elements`.
    ///
    /// - Parameters:
    ///   - elements: The elements; a `ShareableList` too, to copy it.
    ///   - slotCapacity: The least number of bytes that every slot has for strings and bytes; what a slot starts with always fits.
    ///   - name: A name under which other programs find it (see ``SharedMemory``), or nil.
    /// - Throws: As the initialisers of ``SharedMemory``.
    public init(_ elements: some Sequence<Element>, slotCapacity: Int = 0, name: String? = nil) throws {
        let elements = Array(elements)
        let layout = try ListSlots.Layout(of: elements, slotCapacity: slotCapacity)
        let region: MemoryRegion
        if let name {
            // Nobody finds it before it is filled.
            region = try SharedMemoryName(name).make(size: layout.size) { try Self.fill($0, with: elements, layout) }
        } else {
            region = try MemoryRegion(size: layout.size, name: HandleKind.list.name)
            try Self.fill(region, with: elements, layout)
        }
        slots = ListSlots(region: region, count: elements.count)
        self.name = name
    }

    private static func fill(_ region: MemoryRegion, with elements: [Element], _ layout: ListSlots.Layout) throws {
        HandleMemory.writeHeader(.list, count: elements.count, to: region.base)
        let slots = ListSlots(region: region, count: elements.count)
        slots.lay(out: layout)
        for (index, element) in elements.enumerated() { try slots.write(element, at: index) }
    }

    /// Opens the list called `name`.
    ///
    /// - Throws: `SharedStateError`: `doesNotExist`, `invalidName`, `notAList`.
    public init(name: String) throws {
        slots = try ListSlots(checking: try SharedMemoryName(name).open())
        self.name = name
    }

    /// Puts `element` into the slot at `index`, in place of what is there. An index out of range traps.
    ///
    /// - Throws: `SharedStateError` (`tooLong`) when it needs more bytes than the slot has; the slot is unchanged then.
    public func replaceElement(at index: Int, with element: Element) throws {
        guard index >= 0 && index < count else { fatalError("the index is out of the shareable list's range") }
        try slots.write(element, at: index)
    }

    /// The number of bytes that the slot at `index` has for a string or bytes. An index out of range traps.
    public func capacity(at index: Int) -> Int {
        guard index >= 0 && index < count else { fatalError("the index is out of the shareable list's range") }
        return slots.capacity(at: index)
    }

    /// How many elements equal `element`.
    public func count(of element: Element) -> Int {
        lazy.filter { $0 == element }.count
    }

    /// Removes the name; see ``SharedMemory/unlink()``.
    ///
    /// - Throws: `SharedStateError` (`doesNotExist`) when the name was removed already, or there never was one.
    public func unlink() throws {
        guard let name else {
            throw SharedStateError(.doesNotExist, "a shareable list without a name has none to remove")
        }
        try SharedMemoryName(name).remove()
    }

    // MARK: - Sending

    /// Decodes the list's place in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decodeIfPresent(String.self, forKey: .name)
        let nested = try container.superDecoder(forKey: .memory)
        let descriptor = try HandleMemory.decodeDescriptor(
            type: Self.self,
            from: try nested.singleValueContainer(),
            nested
        )
        let region = try name == nil ? MemoryRegion(adopting: descriptor) : MemoryRegion(mapping: descriptor)
        slots = try ListSlots(checking: region)
    }

    /// Encodes the list's place, not the elements, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(name, forKey: .name)
        let nested = container.superEncoder(forKey: .memory)
        try HandleMemory.encode(descriptor: slots.region.descriptor, owner: slots.region, type: Self.self, to: nested)
    }
}

extension ShareableList: RandomAccessCollection {
    /// Always 0.
    public var startIndex: Int { 0 }

    /// The number of elements.
    public var endIndex: Int { slots.count }

    /// The element at `index`. An index out of range traps.
    public subscript(index: Int) -> Element {
        guard index >= 0 && index < count else { fatalError("the index is out of the shareable list's range") }
        return slots.read(at: index)
    }
}

extension ShareableList: CustomStringConvertible {
    /// The type, the elements and the name.
    public var description: String {
        "ShareableList(\(Array(self))\(name.map { ", name: \($0)" } ?? ""))"
    }
}
