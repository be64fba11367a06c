// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

extension ManagerOwner {
    /// How long each step of an end may take: asking, SIGTERM.
    private static let grace = Duration.seconds(1)

    /// Asks the manager to end, and sees to it that it does, without waiting.
    func askToEnd() {
        ask()
        guard let process = server?.process, !process.noteExitIfGone(), let reactor = try? Runtime.shared().reactor
        else { return }
        let timer = reactor.waitUntil(Deadline(timeout: Self.grace)) { _ in
            // The second step is the last here: nobody is left to care how it ends.
            if !process.ended.hasHappened { try? process.signal(SIGKILL) }
        }
        // With the timer go the process's descriptors.
        process.whenEnded { reactor.cancel(timer) }
    }

    /// Ends the manager; the thread is blocked until it has ended.
    func end() throws {
        ask()
        guard let process = server?.process else { return }
        for signal in [SIGTERM, SIGKILL] {
            if try process.waitForEnd(until: Deadline(timeout: Self.grace)) { return }
            try process.signal(signal)
        }
        _ = try process.waitForEnd(until: .never)
    }

    /// Ends the manager; the task is suspended until it has ended.
    func end() async throws {
        let reactor = try Runtime.shared().reactor
        ask()
        guard let process = server?.process else { return }
        for signal in [SIGTERM, SIGKILL] {
            if try await process.ended.wait(until: Deadline(timeout: Self.grace), on: reactor) { return }
            try process.signal(signal)
        }
        _ = try await process.ended.wait(until: .never, on: reactor)
    }
}
