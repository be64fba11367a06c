// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension WorkerLoop {
    // MARK: - From the pool

    /// Finds the payload of a record, and takes the descriptors beside it.
    ///
    /// - Throws: `SystemError` when this process may have no more open files or memory.
    func takePayload(_ head: WorkerRecord) throws -> WorkerPayload {
        var received: [Int32] = []
        var region: MemoryRegion?
        do {
            if head.descriptorCount > 0 { received = try socket.receive(head.descriptorCount) }
            if head.flags.contains(.inSegment) { region = try takeSegment(head, &received) }
        } catch {
            for number in received { Glibc.close(number) }
            if head.flags.contains(.newSegment) { memory.setUnopened(head.segment) }
            // Short of something, this task fails, and the next may not. Anything else is no way to go on.
            guard error.isShortage else { endWithoutPool(error) }
            throw error
        }
        let bytes = UnsafeRawBufferPointer(start: region?.base ?? head.payload, count: head.length)
        let userInfo =
            received.isEmpty
            ? withoutDescriptors : [CarriedDescriptors.userInfoKey: CarriedDescriptors(received: received)]
        return WorkerPayload(bytes: bytes, userInfo: userInfo, region: region)
    }

    /// Ends this process: somebody has closed its socket, or the pool is gone.
    private func endWithoutPool(_ error: any Error) -> Never {
        // A pool that is gone takes its workers along; that is no crash of theirs.
        if let error = error as? SystemError, error.code == EPIPE || error.code == ECONNRESET { _exit(1) }
        fatalError("a worker lost the connection with its pool: \(error)")
    }

    /// Finds the segment of a record; the descriptor of a new one is the last of `received`.
    private func takeSegment(_ head: WorkerRecord, _ received: inout [Int32]) throws(SystemError) -> MemoryRegion {
        let region: MemoryRegion?
        if head.flags.contains(.newSegment), let number = received.popLast() {
            region = try segments.adopt(OwnedDescriptor(owning: number), slot: head.segment)
        } else {
            region = segments.region(head.segment, size: head.length)
        }
        guard let region, region.size >= head.length else {
            throw SystemError(code: ENOMEM, operation: "reading a payload")
        }
        return region
    }

    /// Passes over a revoked task: what came beside it is taken all the same, since what follows comes after it.
    func skip(_ head: WorkerRecord) {
        _ = try? takePayload(head)
    }

    /// Gives the memory of all segments back. The pool has read what was in them.
    func forgetSegments() {
        writer.removeAll()
        loan = nil
        segments = SegmentReceiver()
        resultSegments = SegmentSender()
    }

    // MARK: - To the pool

    /// Sends what is in `writer`, with the descriptors of handles in it.
    ///
    /// A result for which there is no memory or descriptor becomes an error that says so.
    func answer(_ kind: UInt8, ticket: UInt64, _ flags: WorkerRecordFlags, index: Int, last: UInt64) {
        if sendPlain(kind, ticket, flags, index, last) { return }
        do {
            try send(kind, ticket: ticket, flags, index: index, last: last)
        } catch {
            let isShortage = (error as? SystemError)?.isShortage ?? false
            guard isShortage else { endWithoutPool(error) }
            resultDescriptors.forgetAttached()
            writer.removeAll()
            Outcome.write(error: error, into: &writer)
            do {
                try send(kind, ticket: ticket, [.failed], index: index, last: last)
            } catch {
                fatalError("a worker could not answer its pool: \(error)")
            }
        }
        resultDescriptors.forgetAttached()
    }

    /// Sends what is in `writer` if it is short, without handles, and there is room in the lane; false otherwise.
    @inline(__always)
    private func sendPlain(
        _ kind: UInt8,
        _ ticket: UInt64,
        _ flags: WorkerRecordFlags,
        _ index: Int,
        _ last: UInt64
    ) -> Bool {
        let length = writer.count
        guard length <= WorkerRecord.largestInline, resultDescriptors.numbers.isEmpty, loan == nil,
            let start = results.reserve(Lane.recordSize(WorkerRecord.headSize + length), kind: kind)
        else { return false }
        let head = WorkerRecord(start: start)
        head.write(flags, descriptorCount: 0, ticket: ticket, length: length, index: index, last: last)
        copyWritten(to: head.payload)
        publish()
        return true
    }

    /// Lends the writer a segment, so that a large result is not copied into one later; nil when there is no memory for that.
    func lend(_ size: Int) -> UnsafeMutableRawBufferPointer? {
        dropLoan()
        guard let loan = try? borrow(size) else { return nil }
        self.loan = loan
        return UnsafeMutableRawBufferPointer(start: loan.region.base, count: loan.region.size)
    }

    /// Finds a segment that the pool does not read.
    private func borrow(_ size: Int) throws(SystemError) -> SegmentSender.Loan {
        for slot in 0..<WorkerMemory.segmentCount where memory.takeUnreadable(slot) { resultSegments.forget(slot) }
        return try resultSegments.borrow(size) { !memory.isRead($0) }
    }

    /// Takes the segment that the writer's bytes are in, if they are in one.
    private func takeLoan() -> SegmentSender.Loan? {
        guard writer.isLent else {
            dropLoan()
            return nil
        }
        defer { loan = nil }
        return loan
    }

    /// Forgets a segment that was lent for nothing, unless the pool knows it.
    private func dropLoan() {
        if let loan, loan.isNew, loan.slot != SegmentSender.unkept { resultSegments.forget(loan.slot) }
        loan = nil
    }

    private func send(
        _ kind: UInt8,
        ticket: UInt64,
        _ flags: WorkerRecordFlags,
        index: Int,
        last: UInt64
    ) throws {
        var flags = flags
        var descriptors = resultDescriptors.numbers
        var slot = 0
        let length = writer.count
        let isInline = length <= WorkerRecord.largestInline
        var region: MemoryRegion?
        if !isInline {
            let loan: SegmentSender.Loan
            if let filled = takeLoan() {
                loan = filled
            } else {
                loan = try borrow(length)
                copyWritten(to: loan.region.base)
            }
            flags.insert(.inSegment)
            if loan.isNew {
                flags.insert(.newSegment)
                descriptors.append(loan.region.descriptor)
            }
            slot = loan.slot
            region = loan.region
            if slot != SegmentSender.unkept { memory.setRead(slot, true) }
        }
        // The memory of a segment that is used once lives on in the descriptor that is sent.
        try withExtendedLifetime(region) {
            guard !descriptors.isEmpty else { return }
            do {
                guard try socket.send(descriptors, wait: true) else {
                    throw SystemError(code: ETOOMANYREFS, operation: "sending descriptors")
                }
            } catch {
                if flags.contains(.inSegment), slot != SegmentSender.unkept {
                    memory.setRead(slot, false)
                    if flags.contains(.newSegment) { resultSegments.forget(slot) }
                }
                throw error
            }
            if flags.contains(.newSegment) { region?.closeDescriptor() }
        }
        let head = reserve(kind, isInline ? length : 0)
        head.write(
            flags,
            descriptorCount: descriptors.count,
            ticket: ticket,
            length: length,
            segment: slot,
            index: index,
            last: last
        )
        if isInline { copyWritten(to: head.payload) }
        publish()
    }

    /// Makes room for a record, waiting until there is some.
    private func reserve(_ kind: UInt8, _ length: Int) -> WorkerRecord {
        let size = Lane.recordSize(WorkerRecord.headSize + length)
        while true {
            if let start = results.reserve(size, kind: kind) { return WorkerRecord(start: start) }
            results.sleep()
        }
    }

    /// Tells the pool that it has to send a function again.
    func sayUnknown(_ function: UInt32) {
        let head = reserve(WorkerRecordKind.unknown, 0)
        head.write([], descriptorCount: 0, ticket: UInt64(function), length: 0)
        publish()
    }

    /// Tells the pool that there is room.
    func sayDrained() {
        // A lane without room has records enough to make the pool look.
        guard let start = results.reserve(Lane.recordSize(WorkerRecord.headSize), kind: WorkerRecordKind.drained) else {
            return
        }
        WorkerRecord(start: start).write([], descriptorCount: 0, ticket: 0, length: 0)
        publish()
    }

    private func copyWritten(to target: UnsafeMutableRawPointer) {
        writer.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress { LargeCopy.copy(source, to: target, count: bytes.count) }
        }
    }
}
