// SPDX-License-Identifier: Apache-2.0

/// What a pool has done and what it is doing, at one moment.
public struct PoolStatistics: Sendable, CustomStringConvertible {
    /// One worker.
    public struct Worker: Sendable {
        /// Its name.
        public let name: String
        /// Its process id; nil while it is being started, and for threads.
        public let processIdentifier: Int32?
        /// The tasks (chunks of a map) that it has finished.
        public let tasks: Int
        /// How long it was at work.
        public let busy: Duration
        /// How long it had nothing to do since it was started.
        public let idle: Duration
        /// How many workers before it were lost in its place: they crashed, were killed, or had to be ended.
        public let restarts: Int
        /// The memory it had after its last task, in bytes.
        public let resident: Int
        /// Whether it has a task now.
        public let isBusy: Bool
    }

    /// The workers there are; once the pool was closed or terminated, also those that have ended since.
    public let workers: [Worker]
    /// Tasks that wait.
    public let waiting: Int
    /// Tasks that workers have.
    public let running: Int
    /// Workers that ended when they should not have, and were replaced.
    public let restarts: Int

    /// A table with a line for each worker.
    public var description: String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        func seconds(_ time: Duration) -> String {
            let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
            return "\((seconds * 1000).rounded() / 1000) s"
        }
        var lines = ["worker                       pid    tasks      busy      idle  restarts   memory"]
        for worker in workers {
            let name = worker.name + String(repeating: " ", count: max(1, 22 - worker.name.count))
            let pid = pad(worker.processIdentifier.map { "\($0)" } ?? "-", 10)
            let busy = pad(seconds(worker.busy), 10)
            let idle = pad(seconds(worker.idle), 10)
            let memory = pad("\(worker.resident >> 20) MiB", 9)
            let counts = (tasks: pad("\(worker.tasks)", 9), restarts: pad("\(worker.restarts)", 10))
            let state = worker.isBusy ? "  busy" : ""
            lines.append("\(name)\(pid)\(counts.tasks)\(busy)\(idle)\(counts.restarts)\(memory)\(state)")
        }
        lines.append("\(running) running, \(waiting) waiting, \(restarts) workers lost")
        return lines.joined(separator: "\n")
    }
}
