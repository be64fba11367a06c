// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A block of bytes that processes share.
///
/// ```swift
/// let memory = try SharedMemory(size: 1 << 20)                                      // no name; freed with its last user
/// let table = try SharedMemory(name: "weather", create: true, size: 4096)          // found by name, until unlink()
/// ```
///
/// Memory without a name is sent to processes of this program like any handle. Memory with a name is a file in /dev/shm that any program of this user can open, Python's
/// `SharedMemory` included; it stays until somebody calls ``unlink()``, whatever happens to those who use it. Only who made it should: opening it never makes anybody responsible.
///
/// All of the memory is there when the initialiser returns: a size that cannot be had is an error then, not a crash later. It stays mapped as long as this object lives.
public final class SharedMemory: Codable, Sendable {
    /// What travels beside the memory.
    private enum CodingKeys: CodingKey {
        case memory
        case name
    }

    private let region: MemoryRegion

    /// Where the bytes lie. A property of its own because the optimiser of Swift 6.3.1 crashes over a span made from another object's property.
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer  // safe because `region` keeps it mapped

    /// The name, for memory that has one.
    public let name: String?

    /// The size in bytes.
    public let size: Int

    // MARK: - Making and opening

    /// Makes memory without a name, all zero. Takes about 0.3 milliseconds a mebibyte.
    ///
    /// - Throws: `SharedStateError` (`invalidSize`) when `size` is not positive; `SystemError`: ENOMEM when the machine has less memory to give.
    public init(size: Int) throws {
        try Self.check(size)
        region = try MemoryRegion(size: size, name: "multiprocessing-memory")
        name = nil
        (base, self.size) = (region.base, region.size)
    }

    /// Makes memory with a name, all zero, or opens it.
    ///
    /// - Parameters:
    ///   - name: At most 255 bytes of UTF-8, without slash and NUL.
    ///   - create: Whether to make it; there must be none of that name then. What is made has all of its size from the moment others can find it.
    ///   - size: The size in bytes of what is made; what is opened has its own.
    /// - Throws: `SharedStateError`: `alreadyExists`, `doesNotExist`, `invalidName`, `invalidSize`. `SystemError`: ENOSPC or ENOMEM when there is not enough memory, EACCES when it is another
    ///   user's.
    public init(name: String, create: Bool = false, size: Int = 0) throws {
        let file = try SharedMemoryName(name)
        if create { try Self.check(size) }
        region = try create ? file.make(size: size) : file.open()
        self.name = name
        (base, self.size) = (region.base, region.size)
    }

    private static func check(_ size: Int) throws(SharedStateError) {
        guard size <= 0 else { return }
        throw SharedStateError(.invalidSize, "shared memory cannot have \(size) bytes")
    }

    /// Removes the name. Those who use the memory keep it; nobody can open it any more.
    ///
    /// - Throws: `SharedStateError` (`doesNotExist`) when the name was removed already, or there never was one.
    public func unlink() throws {
        guard let name else {
            throw SharedStateError(.doesNotExist, "shared memory without a name has none to remove")
        }
        try SharedMemoryName(name).remove()
    }

    // MARK: - The bytes

    /// The bytes, for reading without a copy. Tied to this object, which keeps them mapped; other processes may change them meanwhile.
    public var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: base, byteCount: size)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The bytes, for reading and writing without a copy. Tied to this object, which keeps them mapped; nothing keeps other threads and processes from changing them meanwhile.
    public var mutableBytes: MutableRawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: size)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Calls `body` with the bytes, for interfaces that want a buffer pointer; it is valid during the call only.
    public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(region) { try body(UnsafeMutableRawBufferPointer(start: region.base, count: size)) }
    }

    // MARK: - Sending

    /// Decodes the memory in a process it was sent to. It need not have its name any more.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decodeIfPresent(String.self, forKey: .name)
        let nested = try container.superDecoder(forKey: .memory)
        let descriptor = try HandleMemory.decodeDescriptor(
            type: Self.self,
            from: try nested.singleValueContainer(),
            nested
        )
        region = try name == nil ? MemoryRegion(adopting: descriptor) : MemoryRegion(mapping: descriptor)
        (base, size) = (region.base, region.size)
    }

    /// Encodes the memory's place, not the bytes, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(name, forKey: .name)
        let nested = container.superEncoder(forKey: .memory)
        try HandleMemory.encode(descriptor: region.descriptor, owner: region, type: Self.self, to: nested)
    }
}

extension SharedMemory: CustomStringConvertible {
    /// The type, the name and the size.
    public var description: String {
        name.map { "SharedMemory(name: \($0), size: \(size))" } ?? "SharedMemory(size: \(size))"
    }
}
