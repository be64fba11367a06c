// SPDX-License-Identifier: Apache-2.0

/// How a process ended.
public enum ExitStatus: Hashable, Sendable, Codable, CustomStringConvertible {
    /// By its own will, with that code (0 to 255).
    case exited(Int32)
    /// By a signal.
    case signaled(Signal)

    /// Reads the status as wait(2) gives it.
    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7f
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xff) : .signaled(Signal(rawValue: signal))
    }

    /// The status as one number: the exit code, or the negative of the signal's number.
    public var code: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): -signal.rawValue
        }
    }

    /// The status in words.
    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signaled(let signal): "ended by \(signal)"
        }
    }
}
