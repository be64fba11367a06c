// SPDX-License-Identifier: Apache-2.0

/// How much a worker should have in its lane, learnt from how long its tasks take. Pure: no process, no clock.
struct ReadingAhead {
    /// Nanoseconds of work that should be there, so that a worker never waits for the pool.
    private static var desiredTime: Double { 400_000 }
    /// More tasks than that are no use.
    private static var mostTasks: Int { 256 }

    /// Nanoseconds a task takes, as far as is known.
    private var taskTime: Double?

    /// How many nanoseconds a task is likely to take; nil while nothing is known.
    var expected: Double? { taskTime }

    /// How many tasks to have, the one at work included: many short ones; a single long one, since others may be free sooner.
    private(set) var depth = 1

    /// Learns how long a task took.
    mutating func learn(_ nanoseconds: Int64) {
        let time = Double(max(nanoseconds, 1))
        // Rises at once, so that little is read ahead behind long tasks; falls by and by.
        let expected = taskTime.map { time > $0 ? ($0 + 3 * time) / 4 : ($0 * 7 + time) / 8 } ?? time
        taskTime = expected
        depth = max(1, min(Self.mostTasks, Int(Self.desiredTime / max(expected, 1))))
    }
}
