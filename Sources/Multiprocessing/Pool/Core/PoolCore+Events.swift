// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

extension PoolCore: EngineEvents {
    func finished(_ ticket: UInt64, _ result: ResultEnvelope) {
        let id = PoolStateMachine.AttemptID(number: ticket)
        if !result.threw, let attempt = machine.attempts[id], !attempt.rest.isEmpty,
            machine.jobs.contains(attempt.job), machine.jobs[existing: attempt.job].rules.isElementwise
        {
            drop(result)
            return lost(
                ticket,
                .engine("\(result.worker) answered \(attempt.answered) of \(attempt.pieces.count) elements")
            )
        }
        let resolution = machine.finished(id, threw: result.threw, nanoseconds: result.nanoseconds)
        guard case .deliver(let jobID, let pieces, let hasEnded) = resolution else { return drop(result) }
        let job = owner(jobID)
        // The last of a job that is answered piece by piece says nothing more.
        if pieces.isEmpty {
            drop(result)
        } else if result.threw, job.rules.isElementwise {
            store(pieces, result, in: job)
        } else {
            job.store(pieces, result)
        }
        settle(job, pieces.count, hasEnded)
    }

    /// Every piece that is left failed for the same reason.
    private func store(_ pieces: Range<Int>, _ result: ResultEnvelope, in job: PoolJob) {
        for piece in pieces { job.store(piece..<piece + 1, result) }
    }

    func answered(_ ticket: UInt64, piece: Int, _ result: ResultEnvelope) {
        let id = PoolStateMachine.AttemptID(number: ticket)
        guard let attempt = machine.attempts[id] else { return drop(result) }
        guard attempt.answered == piece, !attempt.rest.isEmpty else {
            drop(result)
            return lost(ticket, .engine("\(result.worker) answered element \(piece) after \(attempt.answered)"))
        }
        let resolution = machine.answered(id, threw: result.threw)
        guard case .deliver(let jobID, let pieces, let hasEnded) = resolution else { return drop(result) }
        let job = owner(jobID)
        job.store(pieces, result)
        settle(job, pieces.count, hasEnded)
    }

    func lost(_ ticket: UInt64, _ loss: Loss) {
        let id = PoolStateMachine.AttemptID(number: ticket)
        let guilt: PoolStateMachine.Guilt
        let error: any Error
        switch loss {
        case .notBegun:
            guilt = .none
            error = CancellationError()
        case .nextInLine(let lost):
            guilt = .suspected
            error = lost.counted(1 + (machine.attempts[id].map { $0.number + $0.suspicions } ?? 0))
        case .worker(let lost):
            guilt = .begun
            error = lost.counted(1 + (machine.attempts[id].map { $0.number + $0.suspicions } ?? 0))
        case .timedOut:
            guilt = .begun
            let limit = machine.attempts[id].flatMap { living($0.job)?.options.timeout }
            error = TimeoutError(operation: "a task of a pool", timeout: limit ?? .zero)
        case .engine(let reason):
            guilt = .begun
            error = PoolError(.engine, reason)
        }
        guard case .deliver(let jobID, let pieces, let hasEnded) = machine.lost(id, guilt) else { return }
        let job = owner(jobID)
        if job.rules.isElementwise {
            for piece in pieces { job.store(piece..<piece + 1, failure: job.naming(piece..<piece + 1, in: error)) }
        } else if !pieces.isEmpty {
            job.store(pieces, failure: job.naming(pieces, in: error))
        }
        settle(job, pieces.count, hasEnded)
    }

    func broke(_ error: any Error) {
        guard breakdown == nil else { return }
        breakdown = error
        for key in machine.jobs.keys {
            guard let job = living(key) else { continue }
            job.fail(PoolError(.workersFail, "the pool has given up starting workers: \(error)"))
            give(up: job, kill: false)
        }
    }

    /// Goes on after an answer.
    private func settle(_ job: PoolJob, _ pieces: Int, _ hasEnded: Bool) {
        if let meter = job.meter, let report = meter.note(pieces) {
            callbacks.append(report)
            engineChanged()
        }
        if hasEnded {
            complete(job)
        } else if job.hasFailed {
            give(up: job, kill: false)
        } else {
            tellReaders(job)
        }
    }

    private func tellReaders(_ job: PoolJob) {
        if job.isReadAsItGoes { tell(job) }
    }

    /// Closes what came with an answer that nobody waits for.
    private func drop(_ result: ResultEnvelope) {
        for number in result.descriptors { Glibc.close(number) }
    }
}
