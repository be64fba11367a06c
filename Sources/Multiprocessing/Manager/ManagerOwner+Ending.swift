// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

extension ManagerOwner {
    /// How long a manager may take to end once it is asked: a moment, but for machines with much to do. It says farewell to clients elsewhere, who cannot see how it ends.
    private static let patience = Duration.seconds(5)
    /// How each step of an end is made when the one before had no effect in time, and how long it may take.
    private static let steps: [(signal: Int32, before: Duration)] = [(SIGTERM, patience), (SIGKILL, .seconds(1))]

    /// Asks the manager to end, and sees to it that it does, without waiting.
    func askToEnd() {
        ask()
        guard let process = server?.process, !process.noteExitIfGone(), let reactor = try? Runtime.shared().reactor
        else { return }
        let timer = reactor.waitUntil(Deadline(timeout: Self.patience)) { _ in
            // The second step is the last here: nobody is left to care how it ends.
            if !process.ended.hasHappened { try? process.signal(SIGKILL) }
        }
        // With the timer go the process's descriptors.
        process.whenEnded { reactor.cancel(timer) }
    }

    /// Ends the manager; the thread is blocked until it has ended.
    func end() throws {
        ask()
        while let process = present.process {
            try end(process)
            // One that was being started when the end was asked for ends as well.
            if let restart = present.restart { _ = restart.wait(until: .never) }
            if present.process === process { return }
        }
    }

    private func end(_ process: LaunchedProcess) throws {
        for step in Self.steps {
            if try process.waitForEnd(until: Deadline(timeout: step.before)) { return }
            try process.signal(step.signal)
        }
        _ = try process.waitForEnd(until: .never)
    }

    /// Ends the manager; the task is suspended until it has ended.
    func end() async throws {
        let reactor = try Runtime.shared().reactor
        ask()
        while let process = present.process {
            try await end(process, reactor)
            // As in the blocking form.
            if let restart = present.restart { _ = try await restart.wait(until: .never, on: reactor) }
            if present.process === process { return }
        }
    }

    private func end(_ process: LaunchedProcess, _ reactor: Reactor) async throws {
        for step in Self.steps {
            if try await process.ended.wait(until: Deadline(timeout: step.before), on: reactor) { return }
            try process.signal(step.signal)
        }
        _ = try await process.ended.wait(until: .never, on: reactor)
    }
}
