// SPDX-License-Identifier: Apache-2.0
//
// What all handles on shared memory have in common: a region with a header that says what it is, and how it travels.
//
//   offset   size
//        0      4   "mpsh"
//        4      4   kind (`HandleKind`)
//        8      8   size of an element, or of what the kind needs to know
//       16      8   number of elements
//       24     40   unused
//       64      …   what the kind puts there; locks first

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What a shared region is.
enum HandleKind: UInt32 {
    case lock = 1
    case recursiveLock
    case semaphore
    case boundedSemaphore
    case condition
    case event
    case barrier
    case value
    case array
    case atomic
    case list

    /// Whether there is a lock at `HandleMemory.contentOffset`.
    var beginsWithLock: Bool {
        switch self {
        case .lock, .recursiveLock, .value, .array: true
        default: false
        }
    }

    /// What a region of this kind is called in /proc/self/maps.
    var name: StaticString {
        switch self {
        case .value, .array, .atomic, .list: "multiprocessing-data"
        default: "multiprocessing-synchronization"
        }
    }
}

/// The region of one handle.
enum HandleMemory {
    /// Where the header ends.
    static let contentOffset = 64

    private static let magic: UInt32 = 0x6873_706d

    /// Makes a new region with room for `contentSize` bytes behind the header, all zero.
    static func make(
        _ kind: HandleKind,
        contentSize: Int,
        elementSize: Int = 0,
        count: Int = 0
    ) throws(SystemError) -> MemoryRegion {
        let region = try MemoryRegion(
            size: contentOffset + contentSize,
            name: kind.name,
            mustStayMapped: holdsLock(kind)
        )
        writeHeader(kind, elementSize: elementSize, count: count, to: region.base)
        return region
    }

    /// Writes the header of a new region.
    static func writeHeader(_ kind: HandleKind, elementSize: Int = 0, count: Int, to base: UnsafeMutableRawPointer) {
        base.storeBytes(of: magic, as: UInt32.self)
        base.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: elementSize, toByteOffset: 8, as: Int.self)
        base.storeBytes(of: count, toByteOffset: 16, as: Int.self)
    }

    /// Whether `region` has the header of a `kind`.
    static func isKind(_ kind: HandleKind, _ region: MemoryRegion) -> Bool {
        region.size >= contentOffset && region.base.load(as: UInt32.self) == magic
            && region.base.load(fromByteOffset: 4, as: UInt32.self) == kind.rawValue
    }

    /// The element size that a region was made with.
    static func elementSize(of region: MemoryRegion) -> Int { region.base.load(fromByteOffset: 8, as: Int.self) }

    /// The number of elements that a region was made with.
    static func count(of region: MemoryRegion) -> Int { region.base.load(fromByteOffset: 16, as: Int.self) }

    /// A region stays mapped when its handle is dropped while a thread of this process holds its lock: the kernel's list of what to release at the thread's end leads through it.
    private static func holdsLock(_ kind: HandleKind) -> @Sendable (UnsafeMutableRawPointer) -> Bool {
        guard kind.beginsWithLock else { return { _ in false } }
        return { base in RobustLock(base + contentOffset).isHeldInThisProcess }
    }

    /// Maps the region that travels with what is decoded.
    ///
    /// - Throws: `HandleNotPortable` when the decoder carries no descriptors, `DecodingError` when it is something else.
    static func decode(
        _ kind: HandleKind,
        contentSize: Int,
        elementSize: Int = 0,
        type: Any.Type,
        from container: any SingleValueDecodingContainer,
        _ decoder: any Decoder
    ) throws -> MemoryRegion {
        let descriptor = try decodeDescriptor(type: type, from: container, decoder)
        let region = try MemoryRegion(
            adopting: descriptor,
            minimumSize: contentOffset + contentSize,
            mustStayMapped: holdsLock(kind)
        )
        guard isKind(kind, region), self.elementSize(of: region) == elementSize else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "the shared memory is not that of \(type)"
            )
        }
        return region
    }

    // MARK: - Descriptors

    /// Encodes a descriptor that `owner` keeps open, for a handle of `type`.
    ///
    /// - Throws: `HandleNotPortable` when the encoder carries no descriptors.
    static func encode(
        descriptor: Int32,
        owner: AnyObject,
        type: Any.Type,
        to encoder: any Encoder
    ) throws {
        var container = encoder.singleValueContainer()
        try container.encode(try index(of: descriptor, owner: owner, type: type, in: encoder))
    }

    /// Attaches a descriptor to what `encoder` writes, and returns the number that stands for it there.
    static func index(
        of descriptor: Int32,
        owner: AnyObject,
        type: Any.Type,
        in encoder: any Encoder
    ) throws -> UInt32 {
        guard let carried = encoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors else {
            let refusal = encoder.userInfo[HandleNotPortable.refusalKey] as? String
            throw HandleNotPortable(type, refusal ?? "cannot be written by this encoder")
        }
        return UInt32(carried.attach(descriptor, owner: owner))
    }

    /// Takes the descriptor that travels with what is decoded.
    static func decodeDescriptor(
        type: Any.Type,
        from container: any SingleValueDecodingContainer,
        _ decoder: any Decoder
    ) throws -> OwnedDescriptor {
        guard let carried = decoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors else {
            throw HandleNotPortable(type, "cannot be read by this decoder")
        }
        guard let number = carried.take(Int(try container.decode(UInt32.self))) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no descriptor for \(type)")
        }
        return OwnedDescriptor(owning: number)
    }
}
