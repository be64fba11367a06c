// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The start of one child by the fork server, in steps between which the caller waits, on its thread or as a task.
struct ServerStart {
    /// A child that died before it had its job is replaced by another, so many times.
    private static let maximumAttempts = 8

    /// What has to happen before the next step.
    enum Wait {
        case notice(Notice)
        case readable(Int32)
    }

    private enum Stage {
        case beginning
        case waitingForServer(ForkServerClient.Waiter)
        /// `hasJob`: the job lies in the link.
        case waitingForChild(OrderedChild, ForkServerClient.Debt, hasJob: Bool)
        case done(LaunchedProcess)
    }

    private let job: JobMessage
    private let client: ForkServerClient
    /// Whether its thread stands still while it waits.
    private let isBlocking: Bool
    private var stage = Stage.beginning
    private var attempts = 0

    /// Creates the start of a child that gets `job`.
    init(_ job: JobMessage, _ client: ForkServerClient, isBlocking: Bool) {
        self.job = job
        self.isBlocking = isBlocking
        self.client = client
    }

    /// The child, once there is nothing more to wait for.
    func finish() throws -> LaunchedProcess {
        guard case .done(let process) = stage else { throw failure("its start is not finished") }
        return process
    }

    /// Goes on as far as that is possible without waiting.
    ///
    /// - Returns: What to wait for; nil when the child has its job.
    /// - Throws: `ProcessError` and `SystemError` when there will be no child.
    mutating func next() throws -> Wait? {
        while true {
            switch stage {
            case .beginning: try begin()
            case .waitingForServer(let waiter):
                guard waiter.notice.hasHappened else { return .notice(waiter.notice) }
                stage = .beginning
                if let failure = waiter.failure { throw failure }
            case .waitingForChild(let child, let debt, let hasJob):
                guard try look(at: child, debt, hasJob) else { return .readable(child.linkNumber) }
            case .done: return nil
            }
        }
    }

    /// Nobody waits any longer: no child begins, or it is ended at once.
    mutating func abandon() {
        switch stage {
        case .beginning: break
        case .waitingForServer(let waiter): client.abandon(waiter)
        case .waitingForChild(let child, let debt, _):
            child.giveUp()
            client.settle(debt, child.server, hasForked: false)
        case .done(let process): try? process.signal(SIGKILL)
        }
        stage = .beginning
    }

    // MARK: - Steps

    private mutating func begin() throws {
        switch try client.take(isBlocking: isBlocking) {
        case .wait(let waiter): stage = .waitingForServer(waiter)
        case .spare(let child, let debt):
            // Most often it is there, and gets its job after that: killed while it waited, it is replaced.
            stage = .waitingForChild(child, debt, hasJob: false)
            child.announceJob()
            try job.complete()
            if try !look(at: child, debt, false) { child.server.hurry(child.slot) }
        case .ordered(let child, let debt):
            // The server is at work by now.
            stage = .waitingForChild(child, debt, hasJob: false)
            try job.complete()
            // No job is lost by coming first: a child does not look for one before it has said that it is there.
            let sent = Result { () throws(SystemError) in try job.send(to: child) }
            if case .failure(let error) = sent, error.code != ETOOMANYREFS, !error.isClosedLink {
                stage = .beginning
                client.settle(debt, child.server, hasForked: false)
                throw failure("\(error)")
            }
            // Too many descriptors of this user are under way, perhaps; there are fewer when the child can take them at once.
            var hasJob = false
            if case .success = sent { hasJob = true }
            stage = .waitingForChild(child, debt, hasJob: hasJob)
        }
    }

    /// Looks whether the child is there. Returns false when it is to be waited for.
    private mutating func look(at child: OrderedChild, _ debt: ForkServerClient.Debt, _ hasJob: Bool) throws -> Bool {
        switch child.state() {
        case .expected: return false
        case .failed(let reason):
            stage = .beginning
            client.settle(debt, child.server, hasForked: false)
            throw ProcessError(.startFailed, "the fork server could not make a child for \(job.name): \(reason)")
        case .lost:
            stage = .beginning
            client.settle(debt, child.server, hasForked: false)
            try retry("it ended before it began")
        case .forked(let process):
            // What takes the processor from a child with work, such as orders, comes after that.
            defer { client.settle(debt, child.server, hasForked: true) }
            do throws(SystemError) {
                if !hasJob { try job.send(to: process, child) }
                stage = .done(process)
            } catch {
                stage = .beginning
                try? process.signal(SIGKILL)
                guard error.isClosedLink else { throw failure("\(error)") }
                try retry("\(error)")
            }
        }
        return true
    }

    private mutating func retry(_ reason: String) throws {
        attempts += 1
        if attempts >= Self.maximumAttempts { throw failure(reason) }
    }

    private func failure(_ reason: String) -> ProcessError {
        ProcessError(.startFailed, "\(job.name) could not be given its job: \(reason)")
    }
}
