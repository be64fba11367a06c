// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// A signal, as the operating system numbers it.
public struct Signal: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The number.
    public let rawValue: Int32

    /// Creates a signal from its number.
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// SIGINT: asked to stop from the keyboard.
    public static let interrupt = Signal(rawValue: SIGINT)
    /// SIGTERM: asked to end.
    public static let terminate = Signal(rawValue: SIGTERM)
    /// SIGKILL: ended by the kernel, at once.
    public static let kill = Signal(rawValue: SIGKILL)
    /// SIGABRT: the process gave up (`abort`, an uncaught C++ exception).
    public static let abort = Signal(rawValue: SIGABRT)
    /// SIGSEGV: an access to memory that is not there; a stack overflow, too.
    public static let segmentationFault = Signal(rawValue: SIGSEGV)
    /// SIGBUS: an access to mapped memory that has nothing behind it.
    public static let busError = Signal(rawValue: SIGBUS)
    /// SIGILL: a trap of Swift code on x86-64 (`fatalError`, an index out of range, an overflow).
    public static let illegalInstruction = Signal(rawValue: SIGILL)
    /// SIGTRAP: a trap of Swift code on ARM.
    public static let trap = Signal(rawValue: SIGTRAP)
    /// SIGFPE: an arithmetic error of C code.
    public static let arithmeticError = Signal(rawValue: SIGFPE)
    /// SIGSTOP: stopped until SIGCONT.
    public static let stop = Signal(rawValue: SIGSTOP)
    /// SIGCONT: goes on after a stop.
    public static let `continue` = Signal(rawValue: SIGCONT)

    /// Whether it is the mark of a fault of the process itself.
    var isCrash: Bool {
        [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGSYS].contains(rawValue)
    }

    /// The signal's name, such as "SIGKILL".
    public var description: String {
        guard let name = mp_signal_name(rawValue) else { return "signal \(rawValue)" }
        return "SIG" + String(cString: name)
    }
}
