// SPDX-License-Identifier: Apache-2.0

internal import CLaboratory
internal import Glibc
internal import MultiprocessingPrimitives

/// A forked process that stands still except when it is let go on, so that it can be stopped, or killed, between any two instructions.
///
/// It has to be joined or destroyed.
package struct SteppedProcess {
    /// Whether there may be any: a container's filter may not let ptrace(2) through.
    package static let isPossible = laboratory_can_step()

    private let process: ForkedProcess
    /// Its number.
    package var pid: Int32 { process.pid }

    /// Forks a process that stands still before `body`, and after `preparation`.
    package init(after preparation: () throws -> Void = {}, _ body: () throws -> Void) throws {
        process = try ForkedProcess {
            try preparation()
            guard laboratory_stop_for_parent() == 0 else { throw SystemError("stopping for the parent") }
            try body()
        }
        var status: Int32 = 0
        guard waitpid(process.pid, &status, 0) == process.pid, Self.isStopped(status) else {
            throw LaboratoryFailure(description: "a process that should stand still does not: \(status)")
        }
    }

    /// WIFSTOPPED of waitpid(2).
    private static func isStopped(_ status: Int32) -> Bool { status & 0xff == 0x7f }

    /// Executes one instruction after the other until `condition` holds, or the process falls asleep in a system call.
    ///
    /// - Returns: How many; nil when the process ended before.
    @discardableResult
    package func step(until condition: () -> Bool) throws -> Int? {
        var count = 0
        while !condition() {
            guard laboratory_begin_step(pid) == 0 else { throw SystemError("stepping") }
            var status = laboratory_look_for_stop(pid)
            var looks = 0
            while status == -2 {
                looks += 1
                if looks.isMultiple(of: 1000), isAsleep(pid) { return count }
                if looks > 100 { sched_yield() }
                status = laboratory_look_for_stop(pid)
            }
            guard status >= 0 else { throw SystemError("waiting for a step") }
            guard Self.isStopped(status) else { return nil }
            count += 1
            if count.isMultiple(of: 1000) { Laboratory.signOfLife() }
        }
        return count
    }

    /// Goes on up to right before the system call in which it sleeps on the word at `address`.
    package func runToSleep(on address: UnsafeRawPointer) throws {
        while true {
            let status = laboratory_continue_to_call(pid)
            guard status >= 0 else { throw SystemError("going on to a system call") }
            try require(Self.isStopped(status), "ended with \(status) and did not sleep")
            if laboratory_is_about_to_sleep(pid, address) { return }
        }
    }

    /// Goes on up to its sleep on the word at `address`, in the kernel; `awaitWake` has to follow, unless it is destroyed.
    package func sleep(on address: UnsafeRawPointer) throws {
        try runToSleep(on: address)
        guard laboratory_begin_to_call(pid) == 0 else { throw SystemError("going on to sleep") }
        try waitFor("sleep") { isAsleep(pid) }
    }

    /// Waits until it was woken and stands at the end of the system call.
    package func awaitWake() throws {
        let status = laboratory_wait_for_stop(pid)
        guard status >= 0 else { throw SystemError("waiting for the end of a system call") }
        try require(Self.isStopped(status), "ended with \(status) in its sleep")
    }

    /// Lets it go its own way.
    package func letGo() throws {
        guard laboratory_let_go(pid) == 0 else { throw SystemError("letting go") }
    }

    /// Waits for the end of the process; its wait status.
    @discardableResult
    package func join() throws -> Int32 { try process.join() }

    /// Ends the process where it stands, and waits until it is gone.
    package func destroy() throws { try process.destroy() }
}
