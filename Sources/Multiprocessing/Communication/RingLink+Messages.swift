// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension RingLink: ConnectionLink {
    var isReadable: Bool { role.reads }
    var isWritable: Bool { role.writes }

    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32], until deadline: Deadline) throws -> RingOutcome {
        let ring = try ringToSend()
        return try ring.put(bytes, descriptors: descriptors, until: deadline)
    }

    func send(_ message: OutgoingMessage, until deadline: Deadline) async throws -> RingOutcome {
        _ = try ringToSend()
        return try await outboundTasks?.put(message, until: deadline) ?? .shut
    }

    func receive(into message: IncomingMessage, until deadline: Deadline) throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        let outcome = try ring.take(until: deadline, descriptors: &message.descriptors) { message.fill($0) }
        return endIfGone(outcome, ring)
    }

    func receive(into message: IncomingMessage, until deadline: Deadline) async throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        return endIfGone(try await inboundTasks?.take(into: message, until: deadline) ?? .shut, ring)
    }

    func poll(until deadline: Deadline) throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        return endIfGone(try ring.wait(until: deadline), ring)
    }

    func poll(until deadline: Deadline) async throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        return endIfGone(try await inboundTasks?.waitForItem(until: deadline) ?? .shut, ring)
    }

    var isSameProgram: Bool { true }

    var isReady: Bool {
        guard let inbound else { return false }
        return isClosed || !inbound.isEmpty || inbound.isAbandoned || inbound.isPeerGone
    }

    func add(_ notice: Notice) throws {
        _ = try ringToReceive()
        try inboundTasks?.add(notice)
    }

    func remove(_ notice: Notice) {
        inboundTasks?.remove(notice)
    }

    func checkWaitable() throws { _ = try ringToReceive() }

    func markWaiting() -> Bool {
        inbound?.markWaitingForItems()
        return inbound?.producersAreBusy ?? false
    }

    // MARK: - Checks

    /// The ring to send through.
    @inline(__always)
    private func ringToSend() throws -> Ring {
        guard let outbound else { throw ConnectionError(.notWritable, "this end of the connection can only receive") }
        if isClosed { throw ConnectionError(.closed, "this handle of the connection was closed") }
        try watchPeer()
        return outbound
    }

    /// The ring to receive from.
    @inline(__always)
    private func ringToReceive() throws -> Ring {
        guard let inbound else { throw ConnectionError(.notReadable, "this end of the connection can only send") }
        if isClosed { throw ConnectionError(.closed, "this handle of the connection was closed") }
        try watchPeer()
        return inbound
    }

    /// Replaces a timeout by the end of file when that has come already and nobody has said so yet.
    @inline(__always)
    private func endIfGone(_ outcome: RingOutcome, _ ring: Ring) -> RingOutcome {
        outcome == .timedOut && ring.isPeerGone && ring.isEmpty ? .abandoned : outcome
    }
}
