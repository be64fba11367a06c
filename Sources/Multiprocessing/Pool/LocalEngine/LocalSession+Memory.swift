// SPDX-License-Identifier: Apache-2.0
//
// The limit on a worker's memory. After a task the worker says itself how much it has, and goes if that is too much. A task that eats and eats does not get that far: somebody looks now and then, only while there is a limit
// and somebody is at work. What makes the difference is twice the limit: a worker begins no task with more than the limit, so whoever comes that far has taken as much again by itself, and is not the last straw.

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension LocalSession {
    /// How often the memory of workers is looked at.
    private static var memoryInterval: Duration { .milliseconds(100) }

    /// Retires a worker that has too much memory, now that it is between two tasks.
    func retireIfLarge(_ worker: LocalWorker) {
        guard let maximum = specification.maximumMemory, worker.phase == .ready else { return }
        if worker.memory.status(.resident) > UInt64(maximum) { retire(worker) }
    }

    /// Sees to it that somebody looks soon at the memory of the workers that are at work.
    func armMemoryCheck() {
        guard memoryTimer == nil, let reactor = try? Runtime.shared().reactor else { return }
        let check = reentry { session in session.checkMemory() }
        memoryTimer = reactor.waitUntil(Deadline(timeout: Self.memoryInterval)) { _ in check() }
    }

    /// Ends workers that have come to twice as much memory as they may have.
    private func checkMemory() {
        memoryTimer = nil
        guard let maximum = specification.maximumMemory else { return }
        for worker in workers where worker.phase != .ended && worker.memory.status(.task) != 0 {
            guard worker.sentence == nil, let pid = worker.process?.processIdentifier else { continue }
            let resident = ResidentMemory.of(pid)
            guard resident / 2 > UInt64(maximum) else { continue }
            worker.sentence =
                "killed by its pool: it has \(resident >> 20) MiB in memory, and maxMemoryPerChild is \(maximum >> 20) MiB"
            end(worker)
        }
        if workers.contains(where: \.isAtWork) { armMemoryCheck() }
    }
}
