// SPDX-License-Identifier: Apache-2.0

/// Who does the work that is measured. The package itself is first: the others are compared with it.
enum System: String, CaseIterable, Sendable {
    /// This package.
    case subject = "swift-multiprocessing"
    /// CPython's `multiprocessing`.
    case cpython
    /// loky, the executor of joblib: Python processes that are used again.
    case loky
    /// mpire, a faster pool for Python.
    case mpire
    /// faster-fifo, a queue for Python written in C++.
    case fasterFIFO = "faster-fifo"
    /// What the machine can do at all: C on the bare kernel.
    case limits
    /// Foundation, where it does the same work.
    case foundation
    /// Swift in one process, through a buffer pointer.
    case pointer = "buffer pointer"

    /// The module that Python must have for it; nil where nothing need be installed.
    var pythonModule: String? {
        switch self {
        case .loky, .mpire: rawValue
        case .fasterFIFO: "faster_fifo"
        default: nil
        }
    }

    /// Its name on the command line.
    var option: String {
        switch self {
        case .subject: "self"
        case .pointer: "pointer"
        default: rawValue
        }
    }
}
