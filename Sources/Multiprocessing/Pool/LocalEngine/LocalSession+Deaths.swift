// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension LocalSession {
    /// Deals with the end of a worker's process.
    func bury(_ worker: LocalWorker, _ events: any EngineEvents) {
        guard worker.phase != .ended else { return }
        // What it had answered counts, whatever came after.
        collect(from: worker, events)
        let wasExpected = worker.phase == .retiring && worker.outstanding.isEmpty && worker.phaseWhenGone == nil
        // One that gets no more tasks is otherwise as good as any.
        let current = worker.isSpent && worker.phase == .retiring ? .ready : worker.phase
        let phase = worker.phaseWhenGone ?? current
        let isUnheardOf = phase == .ready && !worker.hasAnswered && hasNotServed(worker)
        let wasStarting = !wasExpected && (phase == .starting || isUnheardOf)
        let wasReady = !wasExpected && current == .ready && !wasStarting
        leave(worker, isLost: true)
        worker.phase = .ended
        workers.removeAll { $0 === worker }
        idle.removeAll { $0 === worker }
        if last === worker { last = nil }
        workersChanged()
        disarm(worker)
        let lost = lostError(worker)
        if !wasExpected, !isClosing, !ExitHandling.isExiting {
            restarts += 1
            Log.write(.warning, "\(lost)")
        }
        if worker.phaseWhenGone != nil, !worker.hasAnswered { pauseAfterLoss = .passed }
        if wasStarting, worker.process?.status == .signaled(.kill) {
            noteKilledStart(lost, round: worker.round)
        } else if wasStarting {
            noteFailedStart(lost, round: worker.round)
        } else if wasReady, !worker.hasAnswered, worker.memory.status(.serving) == 0 {
            noteEarlyKill()
        }
        // What it dies of before it takes a task, such as a function that traps when it is decoded, is laid to the first one. A worker that was told to end has done nothing of the kind.
        var isFirst = wasReady
        while let entry = worker.outstanding.popFirst() {
            // A revoked one has been given back already.
            if entry.isRevoked { continue }
            if worker.tasks.isReleased(entry.end) || entry.record.isTaken {
                events.lost(entry.ticket, worker.losses[entry.ticket]?.loss ?? .worker(lost))
            } else {
                events.lost(entry.ticket, isFirst ? .nextInLine(lost) : .notBegun)
            }
            isFirst = false
        }
        // Looked at once more when all is done.
        if isClosing { departed.append(statistics(of: worker)) }
        try? worker.child?.close()
        worker.process = nil
        host.engineChanged()
    }

    /// Notes that a worker was found to be gone before its end was heard of. Its successor waits until it is known how it ended: it may have failed to start, and the next one would as well.
    func noteGone(_ worker: LocalWorker) {
        guard worker.phase == .starting || worker.phase == .ready else { return }
        worker.phaseWhenGone = worker.phase
        if !worker.hasAnswered { pauseAfterLoss = Deadline(timeout: .seconds(1)) }
    }

    /// Whether a worker without an initializer ended before it could have done anything, and not because somebody wanted it so.
    private func hasNotServed(_ worker: LocalWorker) -> Bool {
        worker.memory.status(.serving) == 0 && worker.process?.status != .signaled(.kill)
    }

    private func lostError(_ worker: LocalWorker) -> WorkerLost {
        let report = worker.process?.report
        return WorkerLost(
            status: worker.process?.status ?? .signaled(.kill),
            processIdentifier: worker.process?.processIdentifier ?? 0,
            workerName: worker.name,
            message: worker.sentence ?? report?.message,
            backtrace: report?.backtrace ?? []
        )
    }
}
