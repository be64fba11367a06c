// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// A call of the operating system that failed.
public struct SystemError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The error number, as in `errno`.
    public let code: Int32

    /// The call that failed, with what it was for.
    public let operation: String

    /// Creates an error from the number that `operation` failed with.
    public init(code: Int32, operation: String) {
        self.code = code
        self.operation = operation
    }

    /// Creates an error from the current `errno`; call it before anything else can change that.
    package init(_ operation: String) {
        self.init(code: errno, operation: operation)
    }

    /// Whether something was used up, for now: descriptors, memory, or room in the kernel.
    package var isShortage: Bool {
        [EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EAGAIN, ETOOMANYREFS].contains(code)
    }

    /// The call, the system's own words and the number.
    public var description: String {
        "\(operation): \(String(cString: strerror(code))) (errno \(code))"
    }
}
