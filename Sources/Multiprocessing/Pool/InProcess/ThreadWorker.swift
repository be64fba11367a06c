// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives

/// One thread of a pool.
///
/// `@unchecked Sendable` is safe because what changes is used under the session's lock only.
final class ThreadWorker: @unchecked Sendable {
    let name: String
    /// Wakes it.
    let bell = PoolThread()
    /// What it is at, the piece of it, and since when.
    var task: LocalTask?
    var piece = 0
    var since: Int64 = 0
    /// Whether its initializer has returned.
    var isReady = false
    /// Whether nobody waits for it any more: it hangs in a task that was given up. It ends once it comes back.
    var isAbandoned = false
    var finished = 0
    var busy: Int64 = 0
    /// How many were given up in its place before.
    var restarts = 0
    /// The round of starts in which it was started.
    var round = 0
    let started = mp_now()

    init(_ name: String) {
        self.name = name
    }

    /// What it has done until now; under the session's lock.
    var statistics: PoolStatistics.Worker {
        PoolStatistics.Worker(
            name: name,
            processIdentifier: nil,
            tasks: finished,
            busy: .nanoseconds(busy),
            idle: .nanoseconds(max(0, mp_now() - started - busy)),
            restarts: restarts,
            resident: 0,
            isBusy: task != nil
        )
    }
}
