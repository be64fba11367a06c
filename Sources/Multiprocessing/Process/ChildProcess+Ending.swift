// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension ChildProcess {
    // MARK: - Signals

    /// Asks the process to end (SIGTERM), which it may ignore. Does nothing when it has ended. Its own children are not signalled.
    ///
    /// - Throws: `ProcessError` when it was not started or was closed.
    public func terminate() throws { try send(.terminate) }

    /// Ends the process at once (SIGKILL). Does nothing when it has ended.
    ///
    /// - Throws: `ProcessError` when it was not started or was closed.
    public func kill() throws { try send(.kill) }

    /// Interrupts the process (SIGINT), as Ctrl-C does. Does nothing when it has ended.
    ///
    /// - Throws: `ProcessError` when it was not started or was closed.
    public func interrupt() throws { try send(.interrupt) }

    /// Sends any signal to the process. Does nothing when it has ended.
    ///
    /// - Throws: `ProcessError` when it was not started or was closed; `SystemError` for a signal that does not exist.
    public func send(_ signal: Signal) throws {
        try launched("send \(signal) to").signal(signal.rawValue)
    }

    /// Lets go of the descriptors of a process that has ended or was never started. Afterwards only its name can be asked for. Further calls do nothing.
    ///
    /// - Throws: `ProcessError` while it is running.
    public func close() throws {
        if case .running(let process) = phase.withLock({ $0 }) { _ = process.noteExitIfGone() }
        try phase.withLock { phase in
            switch phase {
            case .running(let process) where !process.ended.hasHappened:
                throw ProcessError(
                    .stillRunning,
                    "\(name) (pid \(process.processIdentifier)) is still running; join it before closing it"
                )
            case .starting: throw ProcessError(.stillRunning, "\(name) is being started")
            case .other: throw ProcessError(.notAChild, "\(name) is not a child of this process")
            default: phase = .closed
            }
        }
    }

    // MARK: - Joining

    /// Blocks until the process has ended.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Returns: Whether it has ended.
    /// - Throws: `ProcessError` when it was not started or was closed.
    @available(*, noasync)
    @discardableResult
    public func join(timeout: Duration? = nil) throws -> Bool {
        try wait(until: Deadline(timeout: timeout))
    }

    /// Waits until the process has ended, without blocking a thread.
    ///
    /// - Parameter timeout: How long to wait; nil for ever, zero or less not at all.
    /// - Returns: Whether it has ended.
    /// - Throws: `ProcessError` when it was not started or was closed; `CancellationError` as soon as the task is cancelled, which leaves the process running.
    @discardableResult
    public func join(timeout: Duration? = nil) async throws -> Bool {
        let deadline = Deadline(timeout: timeout)
        let reactor = try Runtime.shared().reactor
        if let descriptor = otherDescriptor { return try await reactor.readable(descriptor, until: deadline) }
        let process = try launched("join")
        if process.noteExitIfGone() { return true }
        // What it says last is known before the kernel is done with it. Where another task listens already, or descriptors are short, the server tells later.
        let watch = LinkWatch()
        try? watch.begin(process, reactor)
        defer { watch.end(reactor) }
        return try await process.ended.wait(until: deadline, on: reactor)
    }

    /// Blocks until it has ended or the deadline has come.
    func wait(until deadline: Deadline) throws -> Bool {
        if let descriptor = otherDescriptor { return try Polling.waitReadable([descriptor], until: deadline)[0] }
        return try launched("join").waitForEnd(until: deadline)
    }
}
