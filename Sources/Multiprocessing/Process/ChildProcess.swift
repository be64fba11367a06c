// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

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
    /// What has become of it so far.
    enum Phase {
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

    let path: [Int]
    let phase: PlainMutex<Phase>

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

    /// The descriptor of a process that is no child of this one; nil for a child.
    var otherDescriptor: Int32? {
        phase.withLock { if case .other(_, let pidfd) = $0 { pidfd } else { nil } }
    }

    /// The child, for a call that needs one.
    func launched(_ purpose: String) throws -> LaunchedProcess {
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
