// SPDX-License-Identifier: Apache-2.0

internal import CMeasuring
internal import Glibc
internal import Measuring

/// The processes that a measured program leaves behind: they are ended before anything else is measured, because they would take a processor from it.
///
/// This process adopts them (`PR_SET_CHILD_SUBREAPER`), so that neither a process group nor a session of their own hides them. They are not put into a group themselves: what ends a run at a terminal ends
/// them as well.
enum Descendants {
    /// How long they may take to end by themselves, in nanoseconds: servers that see that their program has ended, and what removes names.
    private static let grace: Int64 = 1_000_000_000
    /// Between two looks.
    private static let pause: Int64 = 1_000_000

    /// Makes this process the parent of every descendant whose own parent ends.
    ///
    /// - Throws: `MeasuringError` when the kernel refuses.
    static func adopt() throws {
        guard measuring_adopt_descendants() == 0 else {
            throw MeasuringError("descendants cannot be adopted: \(String(cString: strerror(errno)))")
        }
    }

    /// Reaps all of them, and kills those that do not end by themselves.
    ///
    /// - Parameter atOnce: Whether none has time to end by itself.
    static func end(atOnce: Bool = false) {
        let end = Clock.now + (atOnce ? 0 : grace)
        while reap() {
            // Those that the killed have left are this process' children now, and are seen at the next look.
            if Clock.now >= end { for pid in children { kill(pid, SIGKILL) } }
            Clock.sleep(pause)
        }
    }

    /// Waits until none is left, however they end. Returns whether that was in time.
    static func areGone(before deadline: Int64) -> Bool {
        while reap() {
            guard Clock.now < deadline else { return false }
            Clock.sleep(pause / 20)
        }
        return true
    }

    /// Reaps what has ended. Returns whether there are others.
    private static func reap() -> Bool {
        while true {
            let pid = waitpid(-1, nil, WNOHANG)
            if pid == 0 { return true }
            if pid < 0, errno != EINTR { return false }
        }
    }

    /// The children of this process, which has one thread.
    private static var children: [pid_t] {
        let list = TextFile.read("/proc/self/task/\(getpid())/children") ?? ""
        return list.split(separator: " ").compactMap { pid_t($0) }
    }
}
