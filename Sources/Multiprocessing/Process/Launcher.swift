// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Starts children by each of the methods.
enum Launcher {
    /// Starts a child that does `job`. Blocks until it is there.
    ///
    /// - Throws: `FunctionNotPortable` and encoding errors before anything is started; `ProcessError` and `SystemError` when no child could be made; `DeadlineReached` when the
    ///   deadline came first, and then none begins.
    static func launch(
        _ job: Job,
        as header: JobHeader,
        by method: StartMethod,
        until deadline: Deadline = .never
    ) throws -> LaunchedProcess {
        let runtime = try Runtime.shared(startsServer: method == .forkServer)
        guard var start = try begin(job, header, method, runtime, isBlocking: true) else {
            return try launchDirectly(job, header, method, runtime)
        }
        do {
            while let wait = try start.next() {
                let hasCome =
                    switch wait {
                    case .notice(let notice): notice.wait(until: deadline)
                    case .readable(let descriptor):
                        try Polling.waitReadable([descriptor], until: deadline)[0]
                    }
                guard hasCome else { throw DeadlineReached() }
            }
        } catch {
            start.abandon()
            throw error
        }
        return try start.finish()
    }

    /// Starts a child as `launch` does, without blocking a thread.
    ///
    /// - Throws: Besides, `CancellationError` as soon as the task is cancelled; then no child begins.
    static func launch(
        _ job: Job,
        as header: JobHeader,
        by method: StartMethod,
        until deadline: Deadline = .never
    ) async throws -> LaunchedProcess {
        let runtime = try Runtime.shared(startsServer: method == .forkServer)
        guard var start = try begin(job, header, method, runtime, isBlocking: false) else {
            return try launchDirectly(job, header, method, runtime)
        }
        do {
            while let wait = try start.next() {
                let hasCome =
                    switch wait {
                    case .notice(let notice): try await notice.wait(until: deadline, on: runtime.reactor)
                    case .readable(let descriptor): try await runtime.reactor.readable(descriptor, until: deadline)
                    }
                guard hasCome else { throw DeadlineReached() }
            }
        } catch {
            start.abandon()
            throw error
        }
        return try start.finish()
    }

    /// Begins a start by the fork server. Nil for the other methods.
    private static func begin(
        _ job: Job,
        _ header: JobHeader,
        _ method: StartMethod,
        _ runtime: Runtime,
        isBlocking: Bool
    ) throws -> ServerStart? {
        guard method == .forkServer else { return nil }
        // It gets ready while the job is encoded, and whatever else happens for the first time.
        let started = try runtime.forkServer.start(first: true)
        MainVariables.check()
        do {
            let message = try JobMessage(job, header, parent: runtime.ownDescriptor)
            return ServerStart(message, runtime.forkServer, isBlocking: isBlocking)
        } catch {
            // Nothing is started then: what is said before the first child, such as a preload, is still in time.
            if let started { runtime.forkServer.takeBackStart(started) }
            throw error
        }
    }

    /// Starts a child without the server, which nobody has to wait for.
    private static func launchDirectly(
        _ job: Job,
        _ header: JobHeader,
        _ method: StartMethod,
        _ runtime: Runtime
    ) throws -> LaunchedProcess {
        if method == .fork { return try fork(job, header, runtime) }
        MainVariables.check()
        return try spawn(job, header, runtime)
    }

    // MARK: - Spawn

    private static func spawn(_ job: Job, _ header: JobHeader, _ runtime: Runtime) throws -> LaunchedProcess {
        let lifeline = header.isDaemon ? try runtime.lifeline() : nil
        let message = try JobMessage(job, header, lifeline: lifeline, parent: runtime.ownDescriptor)
        try message.complete()
        let pair = try Link.pair()
        let pid = try ProgramImage.start(pair.there.socket.number)
        let process = try adopt(pid, pair.here, runtime)
        do {
            try message.send(to: process)
        } catch {
            try? process.signal(SIGKILL)
            throw ProcessError(.startFailed, "\(header.name) could not be given its job: \(error)")
        }
        return process
    }

    /// Takes charge of a new child of this process: it is reaped as soon as it ends.
    private static func adopt(_ pid: Int32, _ link: consuming Link, _ runtime: Runtime) throws -> LaunchedProcess {
        let pidfd: OwnedDescriptor
        do {
            pidfd = try OwnedDescriptor(checking: mp_pidfd_open(pid), "opening a pidfd")
        } catch {
            // It cannot be watched, so it must not live. Not reaped yet, the pid is its own.
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw error
        }
        let process = LaunchedProcess(processIdentifier: pid, isOwnChild: true, pidfd: pidfd, link: link)
        do {
            _ = try runtime.reactor.waitOnce(process.pidfd.number, until: .never) { _ in _ = process.noteExit() }
        } catch {
            try? process.signal(SIGKILL)
            _ = try? process.waitForEnd(until: .never)
            throw error
        }
        return process
    }

    // MARK: - Fork

    private static func fork(_ job: Job, _ header: JobHeader, _ runtime: Runtime) throws -> LaunchedProcess {
        guard withUnsafeCurrentTask(body: { $0 == nil }) else {
            throw ProcessError(
                .startMethodUnsupported,
                "\(header.name) cannot be started by .fork inside a Swift task: tasks do not run in a copy of this process; use .forkServer"
            )
        }
        guard let body = job.callHere else {
            throw ProcessError(
                .startMethodUnsupported,
                "\(header.name) cannot be started by .fork: its body is asynchronous, and tasks do not run in a copy of this process; use .forkServer"
            )
        }
        let pair = try Link.pair()
        let lifeline = header.isDaemon ? try runtime.lifeline() : nil
        let parent = ProcessIdentity.Parent(
            name: ProcessIdentity.current.name,
            processIdentifier: getpid(),
            pidfd: runtime.ownDescriptor?.number
        )
        let identity = ProcessIdentity(name: header.name, path: header.path, isDaemon: header.isDaemon, parent: parent)
        _ = Rehearsal.ofCopies
        // In the child the loader's lock may be held by a thread that does not exist there.
        CrashImages.prepare()
        let pid = CopyAttempts.fork()
        if pid == 0 {
            close(pair.here.socket.number)
            runCopy(body, identity, pair.there, wantsResult: header.wantsResult, lifeline: lifeline?.childEnd)
        }
        guard pid > 0 else { throw SystemError("forking this process") }
        let process = try adopt(pid, pair.here, runtime)
        process.letBegin()
        return process
    }

    /// The child's side: runs the body and ends without the exit handlers of the parent.
    private static func runCopy(
        _ body: () throws -> ResultEncoder?,
        _ identity: ProcessIdentity,
        _ link: consuming Link,
        wantsResult: Bool,
        lifeline: Int32?
    ) -> Never {
        ProcessIdentity.become(identity)
        // Not before its parent watches over it: where somebody else reaps it, a short one would be gone by then. A parent that is gone watches over nobody.
        _ = try? link.receive(wait: true)
        let link = OpenLink(link)
        ChildMain.prepareEnd(link.number, inCopy: true)
        if let lifeline {
            do { try Lifeline.arm(lifeline) } catch { _exit(1) }
        }
        let speaker = Speaker(link: link, wantsResult: wantsResult, name: identity.name)
        let code: Int32
        do { code = speaker.tell(try body()) } catch { code = speaker.tell(error) }
        ExitHandling.run()
        fflush(nil)
        ChildMain.announceExit(code)
        _exit(code)
    }
}

/// The deadline of a start came before the child was there.
struct DeadlineReached: Error {}
