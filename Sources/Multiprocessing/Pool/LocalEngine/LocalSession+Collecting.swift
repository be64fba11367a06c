// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

extension LaneReader.Record {
    /// Whether a head lies in the record, and the payload that it tells of as well, or in a segment that there can be.
    ///
    /// A worker whose memory was overwritten may have left anything here; behind the last record of a lane there may be no memory at all.
    @inline(__always)
    fileprivate func holds(_ head: WorkerRecord) -> Bool {
        guard size >= WorkerRecord.headSize, head.length >= 0 else { return false }
        return head.flags.contains(.inSegment)
            ? head.segment < WorkerMemory.segmentCount || head.segment == SegmentSender.unkept
            : head.length <= size - WorkerRecord.headSize
    }
}

extension LocalSession {
    // MARK: - Results

    var hasNews: Bool { workers.contains(where: \.hasResults) }

    func poll(_ events: any EngineEvents) {
        for worker in workers where worker.hasResults { collect(from: worker, events) }
        while let worker = ended.popLast() { bury(worker, events) }
        for worker in workers where worker.isFull || worker.stopIsPending { lookAgain(worker) }
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
            guard record.holds(head), take(head, record.kind, from: worker, events) else {
                // Its memory was overwritten: nothing that it says can be trusted.
                end(worker)
                break
            }
            worker.results.advance(over: record)
        }
        if worker.results.isCorrupt { end(worker) }
        worker.isHeldUp = false
        worker.results.releaseAndWake()
        worker.dropRevoked()
        worker.freeDefinitions()
        lookAgain(worker)
        retireIfLarge(worker)
        if worker.phase == .retiring, worker.outstanding.isEmpty, worker.insistence == nil { insistIfIdle(worker) }
    }

    /// Deals with a record; false when it makes no sense.
    @inline(__always)
    private func take(
        _ head: WorkerRecord,
        _ kind: UInt8,
        from worker: LocalWorker,
        _ events: any EngineEvents
    ) -> Bool {
        let flags = head.flags
        let isPlain = !flags.contains(.inSegment) && head.descriptorCount == 0
        return isPlain
            ? take(plain(head, flags, from: worker), head, kind, from: worker, events)
            : takeLarge(head, kind, from: worker, events)
    }

    /// A result whose bytes lie in the lane, with nothing beside it.
    @inline(__always)
    private func plain(_ head: WorkerRecord, _ flags: WorkerRecordFlags, from worker: LocalWorker) -> ResultEnvelope {
        ResultEnvelope(
            bytes: UnsafeRawBufferPointer(start: head.payload, count: head.length),
            lease: nil,
            descriptors: [],
            threw: flags.contains(.failed),
            nanoseconds: head.duration,
            worker: worker.name
        )
    }

    /// Writes what there was no room for, and lists a worker that has nothing to do.
    private func lookAgain(_ worker: LocalWorker) {
        worker.lookForRoom()
        if worker.stopIsPending { worker.stop() }
        if worker.outstanding.isEmpty { listIdle(worker) }
    }

    /// Notes that a worker has nothing to do.
    func listIdle(_ worker: LocalWorker) {
        guard !worker.isListedIdle, worker.canTakeFirst else { return }
        worker.isListedIdle = true
        idle.append(worker)
    }

    /// Deals with a record that has a segment or descriptors; false when it makes no sense.
    private func takeLarge(
        _ head: WorkerRecord,
        _ kind: UInt8,
        from worker: LocalWorker,
        _ events: any EngineEvents
    ) -> Bool {
        if head.flags.contains(.inSegment) { noteLarge(worker) }
        do {
            let (envelope, lease) = try envelope(of: head, from: worker)
            return withExtendedLifetime(lease) { take(envelope, head, kind, from: worker, events) }
        } catch {
            if head.flags.contains(.newSegment) { worker.memory.setUnreadable(head.segment) }
            guard error.isShortage else { return false }
            // This process has no descriptor or memory left for the answer, which is lost; that is an answer too.
            var writer = WireWriter()
            Outcome.write(error: error, into: &writer)
            return writer.withUnsafeBytes { bytes in
                let substitute = ResultEnvelope(
                    bytes: bytes,
                    lease: nil,
                    descriptors: [],
                    threw: true,
                    nanoseconds: head.duration,
                    worker: worker.name
                )
                return take(substitute, head, kind, from: worker, events)
            }
        }
    }

    private func take(
        _ envelope: ResultEnvelope,
        _ head: WorkerRecord,
        _ kind: UInt8,
        from worker: LocalWorker,
        _ events: any EngineEvents
    ) -> Bool {
        switch kind {
        case WorkerRecordKind.element:
            // It may be another's.
            guard worker.isGiven(head.ticket) else { return false }
            if !worker.losses.isEmpty, let blamed = worker.losses[head.ticket]?.element, head.index >= blamed {
                // Too late: it is lost as one that took too long, and not the one behind it.
                for number in envelope.descriptors { Glibc.close(number) }
                return true
            }
            // The index is the worker's word; what counts is their order.
            events.answered(head.ticket, piece: head.index, envelope)
            return true
        case WorkerRecordKind.result:
            guard let entry = worker.settle(head.ticket) else { return false }
            worker.readingAhead.learn(envelope.nanoseconds)
            noteGoodStart(worker)
            if !worker.losses.isEmpty, let loss = worker.losses.removeValue(forKey: entry.ticket)?.loss {
                // Too late, or cancelled as it was asked to.
                if worker.phase != .retiring { disarm(worker) }
                worker.isInterrupted = false
                for number in envelope.descriptors { Glibc.close(number) }
                events.lost(head.ticket, loss)
            } else if entry.isElementwise, head.ticket == worker.halted {
                // It may have stopped between two elements, of which the second was not begun.
                for number in envelope.descriptors { Glibc.close(number) }
                events.lost(head.ticket, .notBegun)
            } else {
                events.finished(head.ticket, envelope)
            }
            return true
        case WorkerRecordKind.ready:
            becomeReady(worker, head, envelope, events)
            return true
        case WorkerRecordKind.drained:
            return true
        case WorkerRecordKind.unknown:
            worker.unlearn(UInt32(truncatingIfNeeded: head.ticket))
            return true
        default:
            return false
        }
    }

    /// From so many bytes on a result stays in its segment in any case. The kernel maps some ten thousand segments for a process; of these, memory is used up before.
    private static var largestCopied: Int { 1 << 20 }
    /// So many smaller results of a worker may stay in their segments. Others are copied: that is sooner done than making and mapping one more segment for the next.
    private static var mostSmallLeases: Int { WorkerMemory.segmentCount / 2 }

    /// A result whose bytes lie in a segment, or with descriptors beside it; and what keeps the bytes until it is stored.
    private func envelope(
        of head: WorkerRecord,
        from worker: LocalWorker
    ) throws(SystemError) -> (ResultEnvelope, SegmentLease?) {
        var descriptors = head.descriptorCount > 0 ? try worker.socket.receive(head.descriptorCount) : []
        var lease: SegmentLease?
        var base = UnsafeRawPointer(head.payload)
        if head.flags.contains(.inSegment) {
            var region: MemoryRegion?
            if head.flags.contains(.newSegment), let number = descriptors.popLast() {
                do {
                    region = try worker.resultSegments.adopt(OwnedDescriptor(owning: number), slot: head.segment)
                } catch {
                    for number in descriptors { Glibc.close(number) }
                    throw error
                }
            } else {
                region = worker.resultSegments.region(head.segment, size: head.length)
            }
            guard let region, region.size >= head.length else {
                for number in descriptors { Glibc.close(number) }
                throw SystemError(code: EBADMSG, operation: "reading a result")
            }
            lease = SegmentLease(region, slot: head.segment, of: worker)
            base = UnsafeRawPointer(region.base)
        }
        let staysThere =
            head.length > Self.largestCopied
            || head.segment != SegmentSender.unkept && worker.leases.count <= Self.mostSmallLeases
        let envelope = ResultEnvelope(
            bytes: UnsafeRawBufferPointer(start: base, count: head.length),
            lease: staysThere ? lease : nil,
            descriptors: descriptors,
            threw: head.flags.contains(.failed),
            nanoseconds: head.duration,
            worker: worker.name
        )
        return (envelope, lease)
    }

    // MARK: - Deaths

    /// Deals with the end of a worker's process.
    private func bury(_ worker: LocalWorker, _ events: any EngineEvents) {
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
        if worker.phaseWhenGone != nil, !worker.hasAnswered { nextStart = .passed }
        if wasStarting {
            noteFailedStart(lost)
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
        if !worker.hasAnswered { nextStart = Deadline(timeout: .seconds(1)) }
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

    // MARK: - Time limits

    /// Sees to it that somebody looks at the tasks under way no later than `deadline`.
    func armTimer(_ deadline: Deadline) {
        guard timers == nil || deadline < timerDeadline, let reactor = try? Runtime.shared().reactor else { return }
        if let timers { reactor.cancel(timers) }
        timerDeadline = deadline
        let check = reentry { session in session.checkTimes() }
        timers = reactor.waitUntil(deadline) { _ in check() }
    }

    /// Ends workers whose task has taken too long.
    func checkTimes() {
        timers = nil
        timerDeadline = .never
        let now = mp_now()
        var next = Deadline.never
        for worker in workers {
            let running = worker.memory.status(.task)
            for entry in worker.outstanding.all {
                guard let timeout = entry.timeout, !entry.isRevoked, worker.losses[entry.ticket] == nil else {
                    continue
                }
                let limit = Deadline(timeout: timeout).nanoseconds &- now
                guard entry.ticket == running else {
                    next = min(next, Deadline(nanoseconds: now &+ limit))
                    continue
                }
                // The element before its begin: of a later one that is seen here, no earlier begin can be.
                let element = Int(clamping: worker.memory.status(.element))
                let end = Int64(bitPattern: worker.memory.status(.since)) &+ limit
                if end > now {
                    next = min(next, Deadline(nanoseconds: end))
                } else if worker.halt(entry.ticket, at: element) {
                    interrupt(worker, at: entry, as: .timedOut, element: element)
                } else {
                    // It was done in the last moment, and the one behind it has just begun.
                    next = min(next, Deadline(nanoseconds: now &+ limit))
                }
            }
        }
        if !next.isNever { armTimer(next) }
    }
}

/// A result that lies in a worker's segment, until this is dropped.
final class SegmentLease: Sendable {
    /// How many there are of one worker.
    final class Count: Sendable {
        private let value = Atomic<Int>(0)

        // Relaxed, here and below: nothing else is read by it.
        var count: Int { value.load(ordering: .relaxed) }

        fileprivate func add(_ number: Int) { value.add(number, ordering: .relaxed) }
    }

    private let region: MemoryRegion
    private let slot: Int
    private let memory: WorkerMemory
    private let leases: Count
    private let madeIn = mp_fork_generation()

    init(_ region: MemoryRegion, slot: Int, of worker: LocalWorker) {
        self.region = region
        self.slot = slot
        memory = worker.memory
        leases = worker.leases
        leases.add(1)
    }

    deinit {
        leases.add(-1)
        // A copy of this process drops its copy of the result; the one who made it may still read.
        if slot != SegmentSender.unkept, mp_fork_generation() == madeIn { memory.setRead(slot, false) }
    }
}
