// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// A file descriptor with one owner, closed when that owner is gone.
///
/// Every descriptor of this package is close-on-exec and numbered 3 or above: a program that was started without standard input must not get a socket in its place.
package struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number. Valid as long as this value lives.
    package let number: Int32

    /// Takes ownership of `number`, moving it above the standard descriptors where it lies among them.
    package init(owning number: Int32) {
        guard (0...2).contains(number) else {
            self.number = number
            return
        }
        let moved = mp_duplicate(number)
        // With no descriptor left the low number has to do.
        self.number = moved >= 0 ? moved : number
        if moved >= 0 { close(number) }
    }

    /// Takes ownership of the result of a system call.
    ///
    /// - Throws: `SystemError` naming `operation` when `result` is negative.
    package init(checking result: Int32, _ operation: @autoclosure () -> String) throws(SystemError) {
        guard result >= 0 else { throw SystemError(operation()) }
        self.init(owning: result)
    }

    /// Returns a second descriptor for the same open file.
    package func duplicate() throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(checking: mp_duplicate(number), "duplicating a descriptor")
    }

    /// Gives up ownership: the caller has to close the number.
    package consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    deinit {
        close(number)
    }
}
