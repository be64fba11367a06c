// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Processes that belong together for a shell or a terminal (credentials(7)).
extension Proc {
    /// The processes of a process group that run.
    static func members(ofGroup group: Int32) -> [Int32] { members(group, field: 2) }

    /// The processes of a session that run.
    static func members(ofSession session: Int32) -> [Int32] { members(session, field: 3) }

    /// Waits until no process of a group runs. Returns those that do at the deadline.
    static func waitForEnd(ofGroup group: Int32, within limit: Duration) -> [Int32] {
        waitForEnd(within: limit) { members(ofGroup: group) }
    }

    /// Waits until no process of a session runs. Returns those that do at the deadline.
    static func waitForEnd(ofSession session: Int32, within limit: Duration) -> [Int32] {
        waitForEnd(within: limit) { members(ofSession: session) }
    }

    private static func waitForEnd(within limit: Duration, _ members: () -> [Int32]) -> [Int32] {
        let deadline = ContinuousClock.now + limit
        while true {
            let running = members()
            if running.isEmpty || ContinuousClock.now > deadline { return running }
            usleep(1000)
        }
    }

    private static func members(_ number: Int32, field: Int) -> [Int32] {
        entries("/proc").compactMap { Int32($0) }.filter { pid in
            // "pid (name) state parent group session …"; the name may hold anything.
            let line = lines("/proc/\(pid)/stat").first ?? ""
            let fields = line.split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > field && fields[field] == "\(number)" && fields[0] != "Z" && fields[0] != "X"
        }
    }
}
