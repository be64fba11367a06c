// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

extension ChildProcess {
    // MARK: - Closures

    /// Runs `body` in a process of its own, blocks until it has ended, and returns its result.
    ///
    /// ```swift
    /// let n = try ChildProcess.run { fibonacci(40) }
    /// ```
    ///
    /// - Parameters:
    ///   - timeout: How long it may take; then it is killed. Nil: for ever.
    ///   - body: The function, with what it captures.
    /// - Returns: What `body` returns.
    /// - Throws: the error that `body` throws, as its own type where that is `Codable`, else as `RemoteError`; `ProcessLost` when the process trapped, was killed or exited;
    ///   `TimeoutError` at the deadline; `FunctionNotPortable` when the function cannot be carried; `ProcessError` when no child could be made,
    ///   and its `outcomeNotReceived` when the child has done its work and this process could not take what came of it; `DecodingError` when the result is not what its type decodes.
    @available(*, noasync)
    public static func run<R: Codable & Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable () throws -> R
    ) throws -> R {
        try Run(.closure(body), timeout).wait { try WireCoding.decode(R.self, from: &$0, userInfo: $1) }
    }

    /// Runs `body` in a process of its own and returns its result, without blocking a thread; otherwise as the synchronous form. Cancelling the task kills the process.
    public static func run<R: Codable & Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable () throws -> R
    ) async throws -> R {
        try await Run(.closure(body), timeout).wait { try WireCoding.decode(R.self, from: &$0, userInfo: $1) }
    }

    /// Runs the asynchronous `body` in a process of its own and returns its result. Cancelling the task kills the process.
    public static func run<R: Codable & Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        try await Run(.closure(body), timeout).wait { try WireCoding.decode(R.self, from: &$0, userInfo: $1) }
    }

    /// Runs `body` in a process of its own and blocks until it has ended.
    @available(*, noasync)
    @_disfavoredOverload  // a closure with a result is meant for the others
    public static func run(timeout: Duration? = nil, _ body: @escaping @Sendable () throws -> Void) throws {
        try Run(.action(body), timeout).wait { _, _ in }
    }

    /// Runs `body` in a process of its own, without blocking a thread. Cancelling the task kills the process.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public static func run(timeout: Duration? = nil, _ body: @escaping @Sendable () throws -> Void) async throws {
        try await Run(.action(body), timeout).wait { _, _ in }
    }

    /// Runs the asynchronous `body` in a process of its own. Cancelling the task kills the process.
    @_disfavoredOverload  // a closure with a result is meant for the others
    public static func run(timeout: Duration? = nil, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await Run(.action(body), timeout).wait { _, _ in }
    }

    // MARK: - Functions with arguments

    /// Calls `target` with `arguments` in a process of its own, blocks until it has ended, and returns its result. Throws as `run(timeout:_:)` does.
    @available(*, noasync)
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable, R: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable (repeat each A) throws -> R,
        arguments: repeat each A
    ) throws -> R {
        try Run(.function(target, repeat each arguments), timeout).wait {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `target` with `arguments` in a process of its own and returns its result. Cancelling the task kills the process.
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable, R: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable (repeat each A) throws -> R,
        arguments: repeat each A
    ) async throws -> R {
        try await Run(.function(target, repeat each arguments), timeout).wait {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls the asynchronous `target` with `arguments` in a process of its own and returns its result. Cancelling the task kills the process.
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable, R: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
        arguments: repeat each A
    ) async throws -> R {
        try await Run(.function(target, repeat each arguments), timeout).wait {
            try WireCoding.decode(R.self, from: &$0, userInfo: $1)
        }
    }

    /// Calls `target`, which has no result, with `arguments` in a process of its own, and blocks until it has ended. Throws as `run(timeout:_:)` does.
    @available(*, noasync)
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable (repeat each A) throws -> Void,
        arguments: repeat each A
    ) throws {
        try Run(.procedure(target, repeat each arguments), timeout).wait { _, _ in }
    }

    /// Calls `target`, which has no result, with `arguments` in a process of its own, without blocking a thread. Cancelling the task kills the process.
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable (repeat each A) throws -> Void,
        arguments: repeat each A
    ) async throws {
        try await Run(.procedure(target, repeat each arguments), timeout).wait { _, _ in }
    }

    /// Calls the asynchronous `target`, which has no result, with `arguments` in a process of its own. Cancelling the task kills the process.
    @_disfavoredOverload  // a trailing closure without arguments is meant for the others
    public static func run<each A: Codable & Sendable>(
        timeout: Duration? = nil,
        target: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
        arguments: repeat each A
    ) async throws {
        try await Run(.procedure(target, repeat each arguments), timeout).wait { _, _ in }
    }
}

/// A process that is run for its outcome.
private struct Run {
    /// How long a process whose outcome is here may take to exit before it is killed.
    private static let exitGrace = Duration.seconds(3)

    private let child: ChildProcess
    private let timeout: Duration?

    init(_ job: Job, _ timeout: Duration?) {
        // Whoever waits for the outcome is this process: without it, nobody does.
        child = ChildProcess(job, nil, true, .default)
        self.timeout = timeout
    }

    @available(*, noasync)
    func wait<R>(_ result: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        let deadline = Deadline(timeout: timeout)
        let process: LaunchedProcess
        do {
            process = try child.launch(wantsResult: true, until: deadline)
        } catch is DeadlineReached {
            throw timedOut
        }
        defer { endUnlessEnded(process) }
        guard try process.waitForAnswer(until: deadline) else {
            try process.signal(SIGKILL)
            _ = try process.waitForEnd(until: .never)
            throw timedOut
        }
        if try !process.waitForEnd(until: Deadline(timeout: Self.exitGrace)) {
            try process.signal(SIGKILL)
            _ = try process.waitForEnd(until: .never)
        }
        return try outcome(of: process, result)
    }

    func wait<R>(_ result: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) async throws -> R {
        try Task.checkCancellation()
        let deadline = Deadline(timeout: timeout)
        let reactor = try Runtime.shared().reactor
        let process: LaunchedProcess
        do {
            process = try await child.launch(wantsResult: true, until: deadline)
        } catch is DeadlineReached {
            throw timedOut
        }
        defer { endUnlessEnded(process) }
        let watch = LinkWatch()
        try watch.begin(process, reactor)
        defer { watch.end(reactor) }
        guard try await process.answered.wait(until: deadline, on: reactor) else {
            try process.signal(SIGKILL)
            _ = try await process.ended.wait(until: .never, on: reactor)
            throw timedOut
        }
        if try await !process.ended.wait(until: Deadline(timeout: Self.exitGrace), on: reactor) {
            try process.signal(SIGKILL)
            _ = try await process.ended.wait(until: .never, on: reactor)
        }
        return try outcome(of: process, result)
    }

    /// Kills a process that nobody waits for any longer: the task was cancelled, or descriptors or memory to wait with are short.
    private func endUnlessEnded(_ process: LaunchedProcess) {
        // It can fail only for a process that is gone.
        if !process.ended.hasHappened { try? process.signal(SIGKILL) }
    }

    private var timedOut: TimeoutError {
        TimeoutError(operation: "running \(child.name)", timeout: timeout ?? .zero)
    }

    private func outcome<R>(
        of process: LaunchedProcess,
        _ result: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        guard let message = process.takeOutcome() else {
            if let error = process.receptionError {
                throw ProcessError(
                    .outcomeNotReceived,
                    "\(child.name) (pid \(process.processIdentifier)) sent its outcome, but that could not be received: \(error)"
                )
            }
            throw ProcessLost(
                status: process.status ?? .signaled(.kill),
                processIdentifier: process.processIdentifier,
                processName: child.name,
                report: process.report
            )
        }
        return try Outcome.read(message, from: child.name, result: result)
    }
}
