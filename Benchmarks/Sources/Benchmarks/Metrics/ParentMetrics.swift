// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring
internal import Multiprocessing

/// What becomes of children whose parent is killed.
enum ParentMetrics {
    /// The metrics of this group.
    static let all = [
        Metric(
            "parent.killed",
            "SIGKILL of a program with workers, daemons and a manager, to the end of its last process",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            let programs = try Programs()
            try Descendants.adopt()
            var samples: [Double] = []
            let start = Clock.now
            while context.sampling.wantsMore(than: samples.count, after: Clock.now - start) {
                let pid = try programs.family.startUntilReady(timeout: 10)
                let moment = Clock.now
                kill(pid, SIGKILL)
                guard Descendants.areGone(before: moment + 5_000_000_000) else {
                    throw MeasuringError("some of its processes still run 5 s later")
                }
                samples.append(Double(Clock.now - moment))
            }
            return samples
        }
    ]
}

/// A program that has children of every kind.
enum Family {
    /// Starts the children, says that they are there, and waits to be killed.
    static func live() throws {
        let ready = try Semaphore(value: 0)
        let wait: @Sendable () throws -> Void = {
            try ready.release()
            while true { pause() }
        }
        let manager = try Manager()
        let list = try manager.list(of: Int.self)
        try list.append(1)
        let pool = try Pool(processes: 2)
        // One worker is busy and one idle.
        let task = try pool.applyAsync(wait)
        let daemons = (0..<2).map { _ in ChildProcess(daemon: true, wait) }
        for daemon in daemons { try daemon.start() }
        for _ in 0..<3 { try ready.acquire() }
        print("ready")
        fflush(nil)
        while true { pause() }
        withExtendedLifetime((manager, list, pool, task, daemons)) {}
    }
}
