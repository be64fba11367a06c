// SPDX-License-Identifier: Apache-2.0

/// A process that ended without the result it was asked for: it trapped, was killed, or exited.
///
/// `Codable` for processes of this program, so that it is known for what it is where a process in a process was lost.
public struct ProcessLost: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of ends; more may be added.
    public struct Code: Hashable, Sendable, Codable {
        private let rawValue: UInt8

        /// A signal of its own making ended it: a trap, a bad memory access, `abort`.
        public static let crashed = Code(rawValue: 0)
        /// A signal from elsewhere ended it, such as SIGKILL from a user or from a kernel short of memory.
        public static let killed = Code(rawValue: 1)
        /// It called `exit` with a code other than 0.
        public static let exited = Code(rawValue: 2)
        /// It exited with code 0, as if all were well, but sent no result: its body called `exit(0)`, or never ran.
        public static let exitedWithoutResult = Code(rawValue: 3)
    }

    /// The kind of end.
    public let code: Code
    /// How the process ended.
    public let status: ExitStatus
    /// The process' id, which may belong to another process by now.
    public let processIdentifier: Int32
    /// The process' name.
    public let processName: String
    /// What the process said last, such as "Fatal error: Index out of range".
    public let message: String?
    private let trace: Backtrace

    /// Where it crashed, innermost call first: a symbol with an offset, or an address in an image.
    ///
    /// Reads the symbol tables of the program and its libraries when it is asked for the first time: some milliseconds for a large program.
    public var backtrace: [String] { trace.lines }

    /// Creates the error for a process that ended with `status`.
    init(status: ExitStatus, processIdentifier: Int32, processName: String, report: CrashReport?) {
        self.status = status
        self.processIdentifier = processIdentifier
        self.processName = processName
        message = report?.message
        trace = Backtrace(report)
        code =
            switch status {
            case .exited(0): .exitedWithoutResult
            case .exited: .exited
            case .signaled(let signal): report?.signal == signal || signal.isCrash ? .crashed : .killed
            }
    }

    /// Which process ended, how, its last words, and the innermost calls.
    public var description: String {
        var text =
            "\(processName) (pid \(processIdentifier)) \(code == .exitedWithoutResult ? "exited with code 0 but sent no result" : "\(status)")"
        if let message { text += ": \(message)" }
        for frame in backtrace.prefix(12) { text += "\n    at \(frame)" }
        return text
    }
}
