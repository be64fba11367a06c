// SPDX-License-Identifier: Apache-2.0

/// The process of a manager has ended, and the values in it with it.
///
/// Thrown by every call that was under way and by every later one. `Codable` for processes of this program.
public struct ManagerLost: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of ends; more may be added.
    public struct Code: Hashable, Sendable, Codable {
        let rawValue: UInt8

        init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// A function trapped in the manager, or accessed bad memory.
        public static let crashed = Code(rawValue: 0)
        /// A signal from elsewhere ended it, such as SIGKILL from a user or from a kernel short of memory.
        public static let killed = Code(rawValue: 1)
        /// A function in it called `exit`.
        public static let exited = Code(rawValue: 2)
        /// It was shut down, or every handle of the process that made it was gone.
        public static let shutDown = Code(rawValue: 3)
        /// How it ended is not known here; the process that made it is gone as well.
        public static let unknown = Code(rawValue: 4)
        /// The connection to it broke: it may live. The next call connects again.
        public static let disconnected = Code(rawValue: 5)
    }

    /// The kind of end.
    public let code: Code
    /// How the process ended; nil when that is not known here.
    public let status: ExitStatus?
    /// The process' id, which may belong to another process by now.
    public let processIdentifier: Int32
    /// What the process said last, such as "Fatal error: Index out of range".
    public let message: String?
    private let trace: Backtrace

    /// Where it crashed, innermost call first: a symbol with an offset, or an address in an image.
    ///
    /// Reads the symbol tables of the program and its libraries when it is asked for the first time: some milliseconds for a large program.
    public var backtrace: [String] { trace.lines }

    /// Creates the error from what is known.
    init(
        _ code: Code,
        status: ExitStatus?,
        processIdentifier: Int32,
        message: String? = nil,
        trace: Backtrace = Backtrace(frames: [])
    ) {
        self.code = code
        self.status = status
        self.processIdentifier = processIdentifier
        self.message = message
        self.trace = trace
    }

    /// The calls of the backtrace, not in words.
    var frames: [CrashReport.Frame] { trace.frames }

    /// Which process ended, how, its last words, and the innermost calls.
    public var description: String {
        if code == .disconnected {
            return "the connection to the manager (pid \(processIdentifier)) broke" + (message.map { ": \($0)" } ?? "")
        }
        var text = "the manager (pid \(processIdentifier)) "
        switch code {
        case .shutDown: text += "was shut down"
        default: text += status.map(\.description) ?? "has ended"
        }
        if let message { text += ": \(message)" }
        for frame in backtrace.prefix(12) { text += "\n    at \(frame)" }
        return text
    }
}
