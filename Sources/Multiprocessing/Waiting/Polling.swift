// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

/// Waits on the calling thread for descriptors.
enum Polling {
    /// Blocks until one of `descriptors` is readable (or at its end) or the deadline has come, and returns for each whether it is.
    ///
    /// - Throws: `SystemError` when the kernel refuses the list.
    static func waitReadable(_ descriptors: [Int32], until deadline: Deadline) throws(SystemError) -> [Bool] {
        var list = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while true {
            let ready = poll(&list, nfds_t(list.count), deadline.pollTimeout)
            if ready >= 0 { return list.map { $0.revents != 0 } }
            guard errno == EINTR else { throw SystemError("waiting for descriptors") }
        }
    }

    /// Returns whether `descriptor`, or `other` where there is one, is readable now.
    static func isReadable(_ descriptor: Int32, or other: Int32 = -1) -> Bool {
        // The kernel passes over negative numbers.
        var list = (
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: other, events: Int16(POLLIN), revents: 0)
        )
        return withUnsafeMutableBytes(of: &list) { poll($0.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, 0) }
            > 0
    }
}
