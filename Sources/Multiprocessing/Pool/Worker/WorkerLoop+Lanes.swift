// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension WorkerLoop {
    // MARK: - From the pool

    /// Finds the payload of a record, and takes the descriptors beside it.
    ///
    /// - Throws: `SystemError` when this process may have no more open files or memory.
    func takePayload(_ head: WorkerRecord) throws -> WorkerPayload {
        var received = head.descriptorCount > 0 ? try socket.receive(head.descriptorCount) : []
        var region: MemoryRegion?
        if head.flags.contains(.inSegment) {
            if head.flags.contains(.newSegment), let number = received.popLast() {
                region = try segments.adopt(OwnedDescriptor(owning: number), slot: head.segment)
            } else {
                region = segments.region(head.segment, size: head.length)
            }
            guard let region, region.size >= head.length else {
                throw SystemError(code: 74, operation: "reading a payload")
            }
        }
        let bytes = UnsafeRawBufferPointer(start: region?.base ?? head.payload, count: head.length)
        let userInfo =
            received.isEmpty
            ? withoutDescriptors : [CarriedDescriptors.userInfoKey: CarriedDescriptors(received: received)]
        return WorkerPayload(bytes: bytes, userInfo: userInfo, region: region)
    }

    /// Passes over a revoked task: what came beside it is taken all the same, since what follows comes after it.
    func skip(_ head: WorkerRecord) {
        _ = try? takePayload(head)
    }

    // MARK: - To the pool

    /// Sends what is in `writer`, with the descriptors of handles in it.
    ///
    /// A result for which there is no memory or descriptor becomes an error that says so.
    func answer(_ kind: UInt8, ticket: UInt64, _ flags: WorkerRecordFlags, index: Int, last: UInt64) {
        do {
            try send(kind, ticket: ticket, flags, index: index, last: last)
        } catch {
            resultDescriptors.forgetAttached()
            writer.removeAll()
            Outcome.write(error: error, into: &writer)
            do {
                try send(kind, ticket: ticket, [.failed], index: index, last: last)
            } catch {
                preconditionFailure("a worker could not answer its pool: \(error)")
            }
        }
        resultDescriptors.forgetAttached()
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
            let loan = try resultSegments.borrow(length) { !memory.isRead($0) }
            copyWritten(to: loan.region.base)
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
            if !descriptors.isEmpty { _ = try socket.send(descriptors, wait: true) }
        }
        let size = Lane.recordSize(WorkerRecord.headSize + (isInline ? length : 0))
        while true {
            if let start = results.reserve(size, kind: kind) {
                let head = WorkerRecord(start: start)
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
                return publish()
            }
            results.sleep()
        }
    }

    private func copyWritten(to target: UnsafeMutableRawPointer) {
        writer.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: bytes.count) }
        }
    }
}
