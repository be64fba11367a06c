// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives

/// The memory file of one or more rings: large, but with pages only where they are needed.
package final class RingFile: Sendable {
    private let file: OwnedDescriptor

    /// The size in bytes, pages or not.
    package let size: Int

    /// The largest size in bytes: what an offset can tell.
    private static let largestSize = 1 << 36

    /// The smallest size in bytes that is of use.
    private static let smallestSize = 1 << 24

    /// The number of the descriptor, valid as long as this object lives.
    package var descriptor: Int32 { file.number }

    /// Makes a new file without any page.
    ///
    /// - Throws: `SystemError` when there is no further descriptor or hardly any memory; EFBIG when this process may not make a file of 16 MiB.
    package init() throws(SystemError) {
        file = try OwnedDescriptor(checking: mp_memfd_create("multiprocessing-channel"), "making shared memory")
        var size = Self.largestSize
        // A limit on the size of files counts here too.
        let most = OwnedDescriptor.largestFile
        while size > Self.smallestSize, size > most { size /= 2 }
        try file.lengthen(to: size)
        self.size = size
        guard mp_seal_size(file.number) == 0 else { throw SystemError("sealing shared memory") }
    }

    /// Takes over a file from another process.
    ///
    /// - Throws: `SystemError`: EINVAL when its size could change under this process's feet, or is none that `init()` makes.
    package init(adopting descriptor: consuming OwnedDescriptor) throws(SystemError) {
        file = descriptor
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw SystemError("asking for the size of shared memory") }
        size = Int(status.st_size)
        guard mp_size_is_sealed(file.number), size >= Self.smallestSize, size <= Self.largestSize else {
            throw SystemError(code: EINVAL, operation: "mapping the memory of a channel")
        }
    }

    /// Gives the file pages in `range`, so that none is missing later.
    ///
    /// - Throws: `SystemError`: ENOMEM or ENOSPC when the machine or the control group has less to give.
    func allocate(_ range: Range<Int>) throws(SystemError) {
        try AvailableMemory.require(range.count)
        guard mp_allocate(file.number, off_t(range.lowerBound), off_t(range.count)) == 0 else {
            throw SystemError("allocating \(range.count) bytes of shared memory")
        }
    }
}
