// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension PoolCore {
    /// Accepts no more calls; the workers end after what was submitted.
    func close() {
        guard (try? checkProcess()) != nil else { return }
        withLock {
            guard phase == .running else { return }
            phase = .closing
            closeIfDone()
        }
        ensureThread()
    }

    /// Lets the workers go once a closed pool has nothing to do; under the lock.
    func closeIfDone() {
        guard phase == .closing, machine.jobs.count == 0 else { return }
        session.close(drain: true)
        // Where that leaves nothing of the pool, nobody else says so to the one who waits for it.
        thread.wake()
    }

    /// Ends everything.
    func terminate() {
        guard (try? checkProcess()) != nil else { return }
        withLock {
            guard phase != .terminated else { return }
            phase = .terminated
            for key in machine.jobs.keys {
                guard let job = living(key) else { continue }
                job.fail(PoolError(.terminated, "the pool was terminated before this call was done"))
                _ = machine.end(job: key)
                complete(job)
            }
            session.close(drain: false)
            tellOfRoom()
        }
        ensureThread()
    }

    /// Throws while the pool accepts calls.
    func checkJoinable() throws {
        try checkProcess()
        if thread.isCurrent {
            throw PoolError(
                .stillRunning,
                "a pool cannot be joined in one of its callbacks, which would wait for itself"
            )
        }
        try withLock {
            if phase == .running {
                throw PoolError(
                    .stillRunning,
                    "a pool is joined after close() or terminate(); before, it would never end"
                )
            }
        }
    }

    /// Sees to it that the pool's thread is there and looks.
    func ensureThread() {
        withLock { startThreadIfNeeded() }
        engineChanged()
    }

    /// What the pool is doing.
    var statistics: PoolStatistics {
        guard (try? checkProcess()) != nil else {
            return PoolStatistics(workers: [], waiting: 0, running: 0, restarts: 0)
        }
        return withLock {
            PoolStatistics(
                workers: session.statistics,
                waiting: machine.waiting,
                running: machine.running,
                restarts: session.restarts
            )
        }
    }

    /// Suspends until nothing is left of the pool, cancelled or not.
    func waitUntilGone() async {
        guard let reactor = try? Runtime.shared().reactor else { return }
        await Task.detached { [gone] in _ = try? await gone.wait(until: .never, on: reactor) }.value
    }
}
