// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

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
    func collect(from worker: LocalWorker, _ events: any EngineEvents) {
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
}
