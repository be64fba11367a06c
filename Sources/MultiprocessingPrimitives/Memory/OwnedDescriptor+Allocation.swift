// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

extension OwnedDescriptor {
    /// Makes the file `size` bytes long with every page allocated, so that none is missing later.
    ///
    /// - Throws: `SystemError`: ENOMEM or ENOSPC when the machine, the control group or the file system has less to give.
    package borrowing func allocate(_ size: Int) throws(SystemError) {
        try AvailableMemory.require(size)
        guard mp_allocate(number, off_t(size)) == 0 else {
            throw SystemError("allocating \(size) bytes of shared memory")
        }
    }
}
