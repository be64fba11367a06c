// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// A process that runs a Swift function.
///
/// ```swift
/// let process = ChildProcess { print("Worker process is running") }
/// try process.start()
/// try process.join()
/// ```
///
/// The function runs in a process of its own, with its own memory: whatever it does there, a trap included, leaves this process as it is. What it captures and its
/// arguments are sent to it as copies; what is to be shared is shared through the handles of this package.
///
/// The child's body runs on its main thread, or, when it is asynchronous, as a task, with the main actor on the main thread. It has the working directory,
/// environment, umask and standard descriptors that this process has at the moment of `start()`. An error it throws is written to its standard error, and its exit code is 1.
///
/// To run a function for its result, use `run(timeout:_:)`.
public final class ChildProcess: Sendable, CustomStringConvertible {
    private enum Phase {
        case initial(Job)
        case starting
        case running(LaunchedProcess)
        case closed
        /// Not a child: the current process, or its parent.
        case other(processIdentifier: Int32, pidfd: Int32?)
    }

    /// The name: what was given, or "Process-1" for the first child of the main process, "Process-1:2" for the second child of that.
    public let name: String

    /// Whether it ends with the current process. Inherited from the current process unless given.
    public let isDaemon: Bool

    /// How it is started.
    public let startMethod: StartMethod

    private let path: [Int]
    private let phase: PlainMutex<Phase>

    // MARK: - Creating

    /// Creates a process that will run `body`; nothing is started yet.
    ///
    /// - Parameters:
    ///   - name: A name for messages and logs.
    ///   - daemon: Whether it ends with this process, by SIGTERM at a normal exit. Nil: as the current process is.
    ///   - startMethod: How to start it.
    ///   - body: What it will run, with what it captures.
    public convenience init(
        name: String? = nil,
        daemon: Bool? = nil,
        startMethod: StartMethod = .default,
        _ body: @escaping @Sendable () throws -> Void
    ) {
        self.init(.action(body), name, daemon, startMethod)
    }

    /// Creates a process that will run the asynchronous `body`.
    public convenience init(
        name: String? = nil,
        daemon: Bool? = nil,
        startMethod: StartMethod = .default,
        _ body: @escaping @Sendable () async throws -> Void
    ) {
        self.init(.action(body), name, daemon, startMethod)
    }

    /// Creates a process that will call `target` with `arguments`.
    public convenience init<each A: Codable & Sendable>(
        target: @escaping @Sendable (repeat each A) throws -> Void,
        arguments: repeat each A,
        name: String? = nil,
        daemon: Bool? = nil,
        startMethod: StartMethod = .default
    ) {
        self.init(.procedure(target, repeat each arguments), name, daemon, startMethod)
    }

    /// Creates a process that will call the asynchronous `target` with `arguments`.
    public convenience init<each A: Codable & Sendable>(
        target: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        arguments: repeat each A,
        name: String? = nil,
        daemon: Bool? = nil,
        startMethod: StartMethod = .default
    ) {
        self.init(.procedure(target, repeat each arguments), name, daemon, startMethod)
    }

    init(_ job: Job, _ name: String?, _ daemon: Bool?, _ startMethod: StartMethod) {
        let identity = ProcessIdentity.current
        let number = ProcessIdentity.nextChildNumber()
        self.name = name ?? identity.childName(number)
        path = identity.path + [number]
        isDaemon = daemon ?? identity.isDaemon
        self.startMethod = startMethod
        phase = PlainMutex(.initial(job))
    }

    private init(name: String, isDaemon: Bool, processIdentifier: Int32, pidfd: Int32?) {
        self.name = name
        self.isDaemon = isDaemon
        startMethod = .forkServer
        path = []
        phase = PlainMutex(.other(processIdentifier: processIdentifier, pidfd: pidfd))
    }

    // MARK: - The processes around

    /// The current process: "MainProcess" in the program that the user started.
    public static var current: ChildProcess {
        let identity = ProcessIdentity.current
        return ChildProcess(name: identity.name, isDaemon: identity.isDaemon, processIdentifier: getpid(), pidfd: nil)
    }

    /// The process that started the current one; nil in the main process. It can be asked whether it is alive, and waited for.
    public static var parent: ChildProcess? {
        ProcessIdentity.current.parent.map {
            ChildProcess(name: $0.name, isDaemon: false, processIdentifier: $0.processIdentifier, pidfd: $0.pidfd)
        }
    }

    /// The children of the current process that were started and have not ended.
    public static var activeChildren: [ChildProcess] {
        (Runtime.ifMade?.children.all ?? []).filter(\.isAlive)
    }

    // MARK: - Starting and stopping

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

    // MARK: - Asking

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

    private var otherDescriptor: Int32? {
        phase.withLock { if case .other(_, let pidfd) = $0 { pidfd } else { nil } }
    }

    private func launched(_ purpose: String) throws -> LaunchedProcess {
        try phase.withLock { phase in
            switch phase {
            case .running(let process): return process
            case .initial, .starting: throw ProcessError(.notStarted, "cannot \(purpose) \(name): it was not started")
            case .closed: throw ProcessError(.closed, "cannot \(purpose) \(name): it was closed")
            case .other: throw ProcessError(.notAChild, "cannot \(purpose) \(name): it is not a child of this process")
            }
        }
    }
}
