// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension ChildProcess {
    /// Starts the process.
    ///
    /// Blocks for a message to the fork server and the fork of a child, or a few milliseconds when the server has to be started; does not wait for the body to begin. It waits for
    /// what the server was told to preload, however long that takes: where that may be long, and in a task, use `start(timeout:)`.
    ///
    /// - Throws: `FunctionNotPortable` when the function or something it captures cannot be carried, naming it and the cure, and what encoding an argument throws, before anything
    ///   is started; `ProcessError` when it was started before, or no child could be made.
    public func start() throws {
        _ = try launch(wantsResult: false, until: .never)
    }

    /// Starts the process, blocking as `start()` does, but no longer than `timeout`.
    ///
    /// - Parameter timeout: How long to wait for the child to be there; nil for ever.
    /// - Throws: As `start()`; `TimeoutError` at the deadline: then no child has been started, and it may be tried again.
    @available(*, noasync)
    public func start(timeout: Duration?) throws {
        do {
            _ = try launch(wantsResult: false, until: Deadline(timeout: timeout))
        } catch is DeadlineReached {
            throw TimeoutError(operation: "starting \(name)", timeout: timeout ?? .zero)
        }
    }

    /// Starts the process as `start()` does, without blocking a thread.
    ///
    /// - Parameter timeout: How long to wait for the child to be there; nil for ever.
    /// - Throws: As `start()`; `TimeoutError` at the deadline, and `CancellationError` as soon as the task is cancelled: then no child has been started, and it may be tried again.
    public func start(timeout: Duration?) async throws {
        do {
            _ = try await launch(wantsResult: false, until: Deadline(timeout: timeout))
        } catch is DeadlineReached {
            throw TimeoutError(operation: "starting \(name)", timeout: timeout ?? .zero)
        }
    }

    /// Starts the process, whose outcome somebody waits for if `wantsResult`. Throws `DeadlineReached` at the deadline.
    func launch(wantsResult: Bool, until deadline: Deadline) throws -> LaunchedProcess {
        let job = try begin()
        do {
            return try note(try Launcher.launch(job, as: header(wantsResult), by: startMethod, until: deadline))
        } catch {
            phase.withLock { $0 = .initial(job) }
            throw error
        }
    }

    /// Starts the process without blocking a thread.
    func launch(wantsResult: Bool, until deadline: Deadline) async throws -> LaunchedProcess {
        let job = try begin()
        do {
            return try note(try await Launcher.launch(job, as: header(wantsResult), by: startMethod, until: deadline))
        } catch {
            phase.withLock { $0 = .initial(job) }
            throw error
        }
    }

    private func header(_ wantsResult: Bool) -> JobHeader {
        JobHeader(name: name, path: path, isDaemon: isDaemon, wantsResult: wantsResult)
    }

    /// Takes the job out, for the one start that there is.
    private func begin() throws -> Job {
        try phase.withLock { phase in
            switch phase {
            case .initial(let job):
                phase = .starting
                return job
            case .closed: throw ProcessError(.closed, "\(name) was closed")
            default:
                throw ProcessError(
                    .alreadyStarted,
                    "\(name) was started already; a process runs once, so make a new one"
                )
            }
        }
    }

    /// Notes that the process runs.
    private func note(_ process: LaunchedProcess) throws -> LaunchedProcess {
        // The job and what it captures are not needed any more.
        phase.withLock { $0 = .running(process) }
        let registry = try Runtime.shared().children
        registry.add(self, processIdentifier: process.processIdentifier)
        Log.write(.debug, "started \(name) (pid \(process.processIdentifier)) by \(startMethod)")
        process.whenEnded { [self] in
            registry.remove(self, processIdentifier: process.processIdentifier)
            Log.write(
                .debug,
                "\(name) (pid \(process.processIdentifier)) \(process.status.map(\.description) ?? "ended")"
            )
        }
        return process
    }
}
