// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// What a process has: nothing of it may grow in a round.
struct Belongings {
    /// What each open descriptor stands for.
    let descriptors: [String]
    let children: [pid_t]
    let threads: Int
    let mappings: Int

    /// What this process has now. The fork server and its spares count as no children.
    static var current: Belongings {
        let server = ForkServer.processIdentifier
        let tasks = Remnants.entries("/proc/self/task")
        let children = tasks.flatMap { task in
            String(decoding: Remnants.contents("/proc/self/task/\(task)/children"), as: UTF8.self).split(separator: " ")
                .compactMap { pid_t($0) }
        }
        let maps = String(decoding: Remnants.contents("/proc/self/maps"), as: UTF8.self).split(separator: "\n")
        return Belongings(
            descriptors: Remnants.descriptors,
            children: children.filter { $0 != server },
            threads: tasks.count,
            mappings: maps.count { $0.contains("memfd:") || $0.contains("/dev/shm") }
        )
    }

    /// Waits until this process has no more than `before`; what ends is let go of by other threads, at once but not in step.
    static func waitUntil(notMoreThan before: Belongings) throws {
        // A server that was killed is replaced when it is needed.
        _ = try ChildProcess.run { 1 }
        try ForkServer.setSpares(0)
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let now = current
            if now.descriptors.count <= before.descriptors.count, now.children.count <= before.children.count,
                now.threads <= before.threads, now.mappings <= before.mappings
            {
                return
            }
            if ContinuousClock.now > deadline { throw Violation("something is left: \(now), and before \(before)") }
            usleep(2000)
        }
    }
}
