// SPDX-License-Identifier: Apache-2.0

internal import Measuring

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
    /// pebble, a pool for Python that survives what its workers do.
    case pebble
    /// faster-fifo, a queue for Python written in C++.
    case fasterFIFO = "faster-fifo"
    /// iceoryx2, messages through shared memory, by its Python package.
    case iceoryx2
    /// mpi4py, messages by MPI from Python.
    case mpi4py
    /// Boost.Interprocess, in C++.
    case boost
    /// What the machine can do at all: C on the bare kernel.
    case limits
    /// Foundation, where it does the same work.
    case foundation
    /// Swift in one process, through a buffer pointer.
    case pointer = "buffer pointer"
    /// Threads of one process, by this package's `ThreadPool`.
    case threadPool = "ThreadPool"
    /// Tasks of one process, in a group.
    case taskGroup = "TaskGroup"

    /// The module that Python must have for it; nil where none need be installed.
    var pythonModule: String? {
        switch self {
        case .loky, .mpire, .pebble, .iceoryx2, .mpi4py: rawValue
        case .fasterFIFO: "faster_fifo"
        default: nil
        }
    }

    /// Whether it takes long: it starts an interpreter, and imports.
    var isSlow: Bool { self == .cpython || pythonModule != nil }

    /// Whether it needs nothing but this package, Swift and C.
    var isAlwaysThere: Bool { !isSlow && self != .boost }

    /// What must be there for it, for people.
    var requirement: String {
        switch self {
        case .cpython: "there is no python3"
        case .mpi4py: "python3 has no module mpi4py, or there is no mpirun"
        case .boost: "it was built without the headers of Boost"
        default: "python3 has no module \(pythonModule ?? "")"
        }
    }

    /// Its name on the command line.
    var option: String {
        switch self {
        case .subject: "self"
        case .pointer: "pointer"
        case .threadPool: "threads"
        case .taskGroup: "tasks"
        default: rawValue
        }
    }

    /// Finds a system by its name on the command line.
    ///
    /// - Throws: `MeasuringError` when there is none.
    init(option: some StringProtocol) throws {
        guard let system = Self.allCases.first(where: { $0.option == option }) else {
            let known = Self.allCases.map(\.option).joined(separator: ", ")
            throw MeasuringError("unknown system \(option); there are \(known)")
        }
        self = system
    }
}
