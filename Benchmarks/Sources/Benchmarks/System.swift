// SPDX-License-Identifier: Apache-2.0

/// Who does the work that is measured. The package itself is first: the others are compared with it.
enum System: String, CaseIterable, Sendable {
    /// This package.
    case subject = "swift-multiprocessing"
    /// CPython's `multiprocessing`.
    case cpython
    /// What the machine can do at all: C on the bare kernel.
    case limits
    /// Foundation, where it does the same work.
    case foundation
    /// Swift in one process, through a buffer pointer.
    case pointer = "buffer pointer"

    /// Its name on the command line.
    var option: String {
        switch self {
        case .subject: "self"
        case .pointer: "pointer"
        default: rawValue
        }
    }
}
