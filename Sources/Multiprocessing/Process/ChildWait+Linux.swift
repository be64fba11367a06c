// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A look at a child of this process by its pidfd (waitid(2)).
enum ChildWait {
    /// It has ended, and was reaped.
    case ended(ExitStatus)
    /// It has not ended.
    case running
    /// It is no child of this process, or somebody else has reaped it.
    case unknown

    /// Reaps the child behind `pidfd` if it has ended.
    ///
    /// - Parameter waits: Whether to block until it has.
    static func reap(_ pidfd: Int32, waits: Bool) -> ChildWait {
        let pidfdType = idtype_t(3)  // P_PIDFD
        var information = siginfo_t()
        while waitid(pidfdType, id_t(bitPattern: pidfd), &information, Int32(waits ? WEXITED : WEXITED | WNOHANG)) < 0 {
            guard errno == EINTR else { return .unknown }
        }
        let child = information._sifields._sigchld
        guard child.si_pid != 0 else { return .running }
        // As wait(2) tells it.
        let hasExited = information.si_code == Int32(CLD_EXITED)
        return .ended(ExitStatus(waitStatus: hasExited ? (child.si_status & 0xff) << 8 : child.si_status & 0x7f))
    }
}
