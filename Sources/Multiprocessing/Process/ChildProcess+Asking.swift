// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

extension ChildProcess {
    /// Whether it was started and has not ended.
    public var isAlive: Bool {
        // Asked outside the lock: an end that is noticed here is logged, and a log handler may ask this process again.
        switch phase.withLock({ $0 }) {
        case .running(let process): !process.noteExitIfGone()
        case .other(let pid, let pidfd): pidfd.map { !Polling.isReadable($0) } ?? (pid == getpid())
        default: false
        }
    }

    /// How it ended; nil while it has not.
    ///
    /// Where the program ignores SIGCHLD, or waits for any child itself, nobody can tell how a child by `.spawn` or `.fork` ended that had no time to say so: it counts as killed.
    public var exitStatus: ExitStatus? {
        guard let process = try? launched("ask") else { return nil }
        _ = process.noteExitIfGone()
        return process.status
    }

    /// The exit code, or the negative of the number of the signal that ended it; nil while it has not ended.
    public var exitCode: Int32? { exitStatus?.code }

    /// The process' id; nil before it was started.
    public var processIdentifier: Int32? {
        phase.withLock { phase in
            switch phase {
            case .running(let process): process.processIdentifier
            case .other(let pid, _): pid
            default: nil
            }
        }
    }

    /// A descriptor that becomes readable when it has ended and `exitCode` is known, for poll(2) and its like. Owned by this object, and open until `close()`; not to be read from.
    ///
    /// - Throws: `ProcessError` when it was not started or was closed; `SystemError` when descriptors are short.
    public var sentinel: Int32 {
        get throws {
            if let descriptor = otherDescriptor { return descriptor }
            return try launched("watch").sentinel().number
        }
    }

    /// The sentinel to be waited for, which stays open during the wait even if this object is closed.
    func sentinelTarget() throws -> DescriptorTarget {
        if let descriptor = otherDescriptor { return DescriptorTarget(descriptor, keeping: self) }
        let sentinel = try launched("watch").sentinel()
        return DescriptorTarget(sentinel.number, keeping: sentinel)
    }

    /// The name, and what state it is in.
    public var description: String {
        let state = phase.withLock { phase in
            switch phase {
            case .initial: "initial"
            case .starting: "starting"
            case .closed: "closed"
            case .other(let pid, _): "pid \(pid)"
            case .running(let process):
                "pid \(process.processIdentifier), " + (process.status.map(\.description) ?? "started")
            }
        }
        return "ChildProcess(\(name), \(state)\(isDaemon ? ", daemon" : ""))"
    }
}
