// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// Memory that processes share: a file without a name, mapped here, whose pages are all there and whose size cannot change any more.
///
/// The descriptor is what travels to other processes; each maps it for itself. The kernel frees the memory when the last descriptor and the last mapping are gone, however their
/// owners ended. The mapping stays until the last reference to this object is dropped, so whoever hands out an address keeps the object.
package final class MemoryRegion: @unchecked Sendable {
    // Safe because everything is set once, at the start; what processes do to the bytes is for the types above to order.

    /// Where the memory lies in this process; aligned to a page.
    package let base: UnsafeMutableRawPointer

    /// The size in bytes, as it was asked for.
    package let size: Int

    /// The number of the descriptor; -1 once it was closed.
    private let file: Atomic<Int32>

    /// Asked before the memory is unmapped: whether it has to stay, since something in this process still points into it.
    private let mustStayMapped: @Sendable (UnsafeMutableRawPointer) -> Bool

    /// The number of the descriptor, valid as long as this object lives and `closeDescriptor` is not called.
    package var descriptor: Int32 {
        // Relaxed: whoever closes it sees to it that nobody else asks.
        let number = file.load(ordering: .relaxed)
        guard number >= 0 else { fatalError("the descriptor of this memory was closed") }
        return number
    }

    /// The size of a page in bytes.
    package static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// Makes new memory of `size` bytes, all zero.
    ///
    /// Takes about 0.3 milliseconds a mebibyte, because every page is allocated here: a page that could not be had later would be a SIGBUS.
    ///
    /// - Parameters:
    ///   - size: More than 0.
    ///   - name: What /proc/self/maps shows for it.
    /// - Throws: `SystemError`: ENOMEM when the machine or the control group has less memory to give, ENFILE or EMFILE when there is no further descriptor.
    package convenience init(
        size: Int,
        name: StaticString,
        mustStayMapped: @escaping @Sendable (UnsafeMutableRawPointer) -> Bool = { _ in false }
    ) throws(SystemError) {
        precondition(size > 0, "a memory region has at least one byte")
        let number = name.withUTF8Buffer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { mp_memfd_create($0.baseAddress) }
        }
        let file = try OwnedDescriptor(checking: number, "making shared memory")
        try file.allocate(size)
        guard mp_seal_size(file.number) == 0 else { throw SystemError("sealing shared memory") }
        try self.init(file: file, size: size, mustStayMapped: mustStayMapped)
    }

    /// Maps memory that came as a descriptor from another process, which this call takes ownership of.
    ///
    /// - Throws: `SystemError`: EINVAL when its size is not sealed (it could be taken away under this process's feet), or less than `minimumSize`.
    package convenience init(
        adopting descriptor: consuming OwnedDescriptor,
        minimumSize: Int = 1,
        mustStayMapped: @escaping @Sendable (UnsafeMutableRawPointer) -> Bool = { _ in false }
    ) throws(SystemError) {
        guard mp_size_is_sealed(descriptor.number) else {
            throw SystemError(code: EINVAL, operation: "mapping shared memory whose size is not sealed")
        }
        try self.init(mapping: descriptor, minimumSize: minimumSize, mustStayMapped: mustStayMapped)
    }

    /// Maps the whole of an open file, sealed or not.
    ///
    /// - Throws: `SystemError`: EINVAL when it has less than `minimumSize` bytes.
    package convenience init(
        mapping descriptor: consuming OwnedDescriptor,
        minimumSize: Int = 1,
        mustStayMapped: @escaping @Sendable (UnsafeMutableRawPointer) -> Bool = { _ in false }
    ) throws(SystemError) {
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { throw SystemError("asking for the size of shared memory") }
        guard Int(status.st_size) >= max(minimumSize, 1) else {
            throw SystemError(
                code: EINVAL,
                operation: "mapping shared memory of \(status.st_size) bytes where \(minimumSize) are needed"
            )
        }
        try self.init(file: descriptor, size: Int(status.st_size), mustStayMapped: mustStayMapped)
    }

    private init(
        file: consuming OwnedDescriptor,
        size: Int,
        mustStayMapped: @escaping @Sendable (UnsafeMutableRawPointer) -> Bool
    ) throws(SystemError) {
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0)
        guard let address, address != MAP_FAILED else { throw SystemError("mapping \(size) bytes of shared memory") }
        self.base = address
        self.size = size
        self.file = Atomic(file.release())
        self.mustStayMapped = mustStayMapped
    }

    /// Closes the descriptor, where the memory is not passed on any more: mappings are limited by thousands, descriptors by hundreds.
    package func closeDescriptor() {
        let number = file.exchange(-1, ordering: .relaxed)
        if number >= 0 { close(number) }
    }

    deinit {
        closeDescriptor()
        guard !mustStayMapped(base) else { return }
        munmap(base, size)
    }
}
