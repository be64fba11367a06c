// SPDX-License-Identifier: Apache-2.0
//
// The size of files without names. A limit on the size of files (RLIMIT_FSIZE, setrlimit(2)) counts for them too, and the kernel does not only refuse what is larger: it sends SIGXFSZ, by which a program
// ends that does not know of it. So the limit is asked for first.

internal import CMultiprocessing
internal import Glibc

extension OwnedDescriptor {
    /// The largest size in bytes that this process may give a file.
    package static var largestFile: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }

    /// Throws EFBIG, with what it is for, when this process may not make a file of `size` bytes.
    package static func requireFile(of size: Int, for operation: @autoclosure () -> String) throws(SystemError) {
        guard size <= largestFile else { throw SystemError(code: EFBIG, operation: operation()) }
    }

    /// Makes the file `size` bytes long with every page allocated, so that none is missing later.
    ///
    /// - Throws: `SystemError`: ENOMEM or ENOSPC when the machine, the control group or the file system has less to give, EFBIG when this process may not make so large a file.
    package borrowing func allocate(_ size: Int) throws(SystemError) {
        try AvailableMemory.require(size)
        try Self.requireFile(of: size, for: "allocating \(size) bytes of shared memory")
        guard mp_allocate(number, 0, off_t(size)) == 0 else {
            throw SystemError("allocating \(size) bytes of shared memory")
        }
    }

    /// Makes the file `size` bytes long; pages come with their first use.
    ///
    /// - Throws: `SystemError`: EFBIG when this process may not make so large a file.
    package borrowing func lengthen(to size: Int) throws(SystemError) {
        try Self.requireFile(of: size, for: "sizing shared memory")
        guard ftruncate(number, off_t(size)) == 0 else { throw SystemError("sizing shared memory") }
    }
}
