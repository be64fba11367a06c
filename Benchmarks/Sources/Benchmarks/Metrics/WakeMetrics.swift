// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// What it costs to wake another process that waits: half of a round trip between two processes, of which one always waits for the other.
///
/// With a processor for each, a waiter watches for a moment before it sleeps; on one (`.pinned`) every wake-up goes through the kernel. The limit never watches.
enum WakeMetrics {
    /// How many round trips are timed together.
    private static let batch = 100

    /// The metrics of this group.
    static let all = both(false) + both(true)

    /// The metrics with a processor for each side, or with one for both.
    private static func both(_ isPinned: Bool) -> [Metric] {
        [
            metric("wake.semaphore", "wake a process by a permit", isPinned) { context in
                let (there, back) = (try Semaphore(value: 0), try Semaphore(value: 0))
                return try halves(context) {
                    try there.release()
                    try back.acquire()
                } partner: {
                    try there.acquire()
                    try back.release()
                }
            },
            metric("wake.event", "wake a process by setting an event", isPinned) { context in
                let (there, back) = (try Event(), try Event())
                return try halves(context) {
                    there.set()
                    try back.wait()
                    back.clear()
                } partner: {
                    try there.wait()
                    there.clear()
                    back.set()
                }
            },
            metric("wake.condition", "wake a process by notifying it, lock included", isPinned) { context in
                let condition = try Condition()
                let turn = try SharedArray<Int>(count: 1)
                return try halves(context) {
                    try condition.withLock {
                        turn[0] = 1
                        try condition.notify()
                        try condition.wait { turn[0] == 0 }
                    }
                } partner: {
                    try condition.withLock {
                        try condition.wait { turn[0] == 1 }
                        turn[0] = 0
                        try condition.notify()
                    }
                }
            },
            metric(
                "wake.barrier",
                "wake a process by arriving at a barrier last",
                isPinned,
                limit: "a barrier of two words"
            ) { context in
                let barrier = try Barrier(parties: 2)
                return try halves(context) {
                    for _ in 0..<2 { try barrier.wait() }
                } partner: {
                    for _ in 0..<2 { try barrier.wait() }
                }
            },
        ]
    }

    private static func metric(
        _ name: String,
        _ summary: String,
        _ isPinned: Bool,
        limit: String = "a futex",
        work: @escaping Metric.Work
    ) -> Metric {
        Metric(
            isPinned ? name + ".pinned" : name,
            summary + (isPinned ? ", both on one processor" : "") + "; limit: \(limit)",
            unit: .nanoseconds,
            kind: .typical,
            peers: [.cpython, .limits] + (name == "wake.semaphore" || name == "wake.condition" ? [.boost] : []),
            isPinned: isPinned,
            work: work
        )
    }

    /// Has a child answer again and again, and returns half of what each round trip takes.
    private static func halves(
        _ context: WorkContext,
        _ roundTrip: () throws -> Void,
        partner: @escaping @Sendable () throws -> Void
    ) throws -> [Double] {
        let child = ChildProcess(daemon: true) { while true { try partner() } }
        try child.start()
        let samples = try context.sampling.times(batch: batch, roundTrip)
        try child.kill()
        try child.join()
        return samples.map { $0 / 2 }
    }
}
