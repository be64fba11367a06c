// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension LocalSession {
    // MARK: - Results

    var hasNews: Bool { workers.contains(where: \.hasResults) }

    func poll(_ events: any EngineEvents) {
        for worker in workers where worker.hasResults { collect(from: worker, events) }
        while let worker = ended.popLast() { bury(worker, events) }
        for worker in workers where worker.isFull && worker.tasks.hasMoreRoom {
            worker.isFull = false
            if worker.outstanding.isEmpty { listIdle(worker) }
        }
        while let (ticket, error) = unwritten.popLast() {
            if let error {
                events.lost(ticket, .engine("a task could not be handed to a worker: \(error)"))
            } else {
                events.lost(ticket, .notBegun)
            }
        }
        if isBroken, let failure { events.broke(failure) }
    }

    /// Takes what is in a worker's lane.
    private func collect(from worker: LocalWorker, _ events: any EngineEvents) {
        while let record = worker.results.next() {
            let head = WorkerRecord(start: record.start)
            let isSound = head.flags.contains(.inSegment) || head.length <= record.size - WorkerRecord.headSize
            guard isSound, take(head, record.kind, from: worker, events) else {
                // Its memory was overwritten: nothing that it says can be trusted.
                end(worker)
                break
            }
            worker.results.advance(over: record)
        }
        if worker.results.isCorrupt { end(worker) }
        worker.results.releaseAndWake()
        if worker.isFull, worker.tasks.hasMoreRoom { worker.isFull = false }
        worker.dropRevoked()
        if worker.stopIsPending { worker.stop() }
        if worker.outstanding.isEmpty { listIdle(worker) }
        if worker.phase == .retiring, worker.outstanding.isEmpty { host.engineChanged() }
    }

    /// Notes that a worker has nothing to do.
    func listIdle(_ worker: LocalWorker) {
        guard !worker.isListedIdle, worker.canTakeFirst else { return }
        worker.isListedIdle = true
        idle.append(worker)
    }

    /// Deals with one record; false when it makes no sense.
    private func take(_ head: WorkerRecord, _ kind: UInt8, from worker: LocalWorker, _ events: any EngineEvents) -> Bool
    {
        guard let envelope = try? envelope(of: head, from: worker) else { return false }
        switch kind {
        case WorkerRecordKind.element:
            // The index is the worker's word; what counts is their order.
            events.answered(head.ticket, piece: head.index, envelope)
            return true
        case WorkerRecordKind.result:
            guard let entry = worker.settle(head.ticket) else { return false }
            worker.freeDefinitions()
            worker.learn(envelope.nanoseconds)
            if worker.phase == .retiring, entry.loss != nil { return true }
            events.finished(head.ticket, envelope)
            retireIfLarge(worker)
            return true
        case WorkerRecordKind.ready:
            becomeReady(worker, head, envelope, events)
            return true
        default:
            return false
        }
    }

    private func envelope(of head: WorkerRecord, from worker: LocalWorker) throws -> ResultEnvelope {
        var descriptors = head.descriptorCount > 0 ? try worker.socket.receive(head.descriptorCount) : []
        var lease: SegmentLease?
        var base = UnsafeRawPointer(head.payload)
        if head.flags.contains(.inSegment) {
            var region: MemoryRegion?
            if head.flags.contains(.newSegment), let number = descriptors.popLast() {
                region = try worker.resultSegments.adopt(OwnedDescriptor(owning: number), slot: head.segment)
            } else {
                region = worker.resultSegments.region(head.segment, size: head.length)
            }
            guard let region, region.size >= head.length else {
                for number in descriptors { Glibc.close(number) }
                throw SystemError(code: EBADMSG, operation: "reading a result")
            }
            lease = SegmentLease(region, slot: head.segment, of: worker.memory)
            base = UnsafeRawPointer(region.base)
        }
        return ResultEnvelope(
            bytes: UnsafeRawBufferPointer(start: base, count: head.length),
            lease: lease,
            descriptors: descriptors,
            threw: head.flags.contains(.failed),
            nanoseconds: head.duration,
            worker: worker.name
        )
    }

    private func retireIfLarge(_ worker: LocalWorker) {
        guard let maximum = specification.maximumMemory, worker.phase == .ready else { return }
        if worker.memory.status(.resident) > UInt64(maximum) { retire(worker) }
    }

    /// Gives a worker no more tasks, and lets it end after those it has.
    func retire(_ worker: LocalWorker) {
        guard worker.phase == .ready || worker.phase == .starting else { return }
        worker.phase = .retiring
        worker.stop()
        // Its successor is started at once, not when it is gone.
        host.engineChanged()
    }

    // MARK: - Deaths

    /// Deals with the end of a worker's process.
    private func bury(_ worker: LocalWorker, _ events: any EngineEvents) {
        guard worker.phase != .ended else { return }
        // What it had answered counts, whatever came after.
        collect(from: worker, events)
        let wasStarting = worker.phase == .starting
        let wasExpected = worker.phase == .retiring && worker.outstanding.isEmpty
        worker.phase = .ended
        workers.removeAll { $0 === worker }
        idle.removeAll { $0 === worker }
        workersChanged()
        let lost = lostError(worker)
        if !wasExpected, !isClosing {
            restarts += 1
            Log.write(.warning, "\(lost)")
        }
        if wasStarting { noteFailedStart(lost) }
        while let entry = worker.outstanding.popFirst() {
            // A revoked one has been given back already.
            if entry.isRevoked { continue }
            if entry.record.isTaken {
                events.lost(entry.ticket, entry.loss ?? .worker(lost))
            } else {
                events.lost(entry.ticket, .notBegun)
            }
        }
        try? worker.child?.close()
        worker.process = nil
        host.engineChanged()
    }

    private func lostError(_ worker: LocalWorker) -> WorkerLost {
        let report = worker.process?.report
        return WorkerLost(
            status: worker.process?.status ?? .signaled(.kill),
            processIdentifier: worker.process?.processIdentifier ?? 0,
            workerName: worker.name,
            message: report?.message,
            backtrace: report?.backtrace ?? []
        )
    }

    // MARK: - Time limits

    /// Sees to it that somebody looks at the tasks under way no later than `deadline`.
    func armTimer(_ deadline: Deadline) {
        guard timers == nil || deadline < timerDeadline, let reactor = try? Runtime.shared().reactor else { return }
        if let timers { reactor.cancel(timers) }
        timerDeadline = deadline
        timers = reactor.waitUntil(deadline) { [weak self] _ in
            guard let self else { return }
            self.host.withLock { self.checkTimes() }
        }
    }

    /// Ends workers whose task has taken too long.
    private func checkTimes() {
        timers = nil
        timerDeadline = .never
        let now = mp_now()
        var next = Deadline.never
        for worker in workers {
            let running = worker.memory.status(.task)
            for entry in worker.outstanding.all {
                guard let timeout = entry.envelope.timeout, !entry.isRevoked, entry.loss == nil else { continue }
                let limit = Deadline(timeout: timeout).nanoseconds &- now
                guard entry.ticket == running else {
                    next = min(next, Deadline(nanoseconds: now &+ limit))
                    continue
                }
                let end = Int64(bitPattern: worker.memory.status(.since)) &+ limit
                if end <= now {
                    worker.outstanding.modify { other in
                        guard other.ticket == entry.ticket else { return false }
                        other.loss = .timedOut
                        return true
                    }
                    stopHanging(worker)
                } else {
                    next = min(next, Deadline(nanoseconds: end))
                }
            }
        }
        if !next.isNever { armTimer(next) }
    }

    /// SIGTERM, and a little later SIGKILL.
    private func stopHanging(_ worker: LocalWorker) {
        if worker.phase != .ended { worker.phase = .retiring }
        guard let process = worker.process else { return }
        try? process.signal(SIGTERM)
        guard let reactor = try? Runtime.shared().reactor else { return end(worker) }
        _ = reactor.waitUntil(Deadline(timeout: .milliseconds(200))) { _ in
            if !process.ended.hasHappened { try? process.signal(SIGKILL) }
        }
    }
}

/// A result that lies in a worker's segment, until this is dropped.
final class SegmentLease: Sendable {
    private let region: MemoryRegion
    private let slot: Int
    private let memory: WorkerMemory

    init(_ region: MemoryRegion, slot: Int, of memory: WorkerMemory) {
        self.region = region
        self.slot = slot
        self.memory = memory
    }

    deinit {
        if slot != SegmentSender.unkept { memory.setRead(slot, false) }
    }
}
