// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension RingLink: ConnectionLink {
    var isReadable: Bool { role.reads }
    var isWritable: Bool { role.writes }

    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32], until deadline: Deadline) throws -> RingOutcome {
        try withRingToSend {
            try $0.put(bytes, descriptors: descriptors, until: deadline, cancellation: nil, waitsForOthers: true)
        }
    }

    func send(_ message: OutgoingMessage, until deadline: Deadline) async throws -> RingOutcome {
        try withRingToSend { _ in }
        return try await outboundTasks?.put(message, until: deadline) ?? .shut
    }

    func receive(into message: IncomingMessage, until deadline: Deadline) throws -> RingOutcome {
        try withRingToReceive { ring in
            let outcome = try ring.take(until: deadline, descriptors: &message.descriptors) { message.fill($0) }
            return endIfGone(outcome, ring)
        }
    }

    func receive(into message: IncomingMessage, until deadline: Deadline) async throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        return endIfGone(try await inboundTasks?.take(into: message, until: deadline) ?? .shut, ring)
    }

    func poll(until deadline: Deadline) throws -> RingOutcome {
        try withRingToReceive { ring in endIfGone(try ring.wait(until: deadline), ring) }
    }

    func poll(until deadline: Deadline) async throws -> RingOutcome {
        let ring = try ringToReceive()
        defer { refreshReadiness() }
        return endIfGone(try await inboundTasks?.waitForItem(until: deadline) ?? .shut, ring)
    }

    /// Sends a value of a flat type, blocking the thread.
    @inline(__always)
    func send<Value>(_ value: Value, _ flat: FlatCoding, until deadline: Deadline) throws -> RingOutcome {
        try withRingToSend { try $0.put(value, flat, until: deadline) }
    }

    /// Finds a message, blocking the thread; if it is done, `finish` has to follow.
    @inline(__always)
    func find(_ message: inout FoundMessage, until deadline: Deadline) throws -> RingOutcome {
        try withRingToReceive { ring in
            endIfGone(try ring.find(&message, until: deadline, cancellation: nil, waitsForOthers: true), ring)
        }
    }

    /// Takes the message that was found, a value of a flat type.
    @inline(__always)
    func finish<Value: Decodable>(
        _ message: inout FoundMessage,
        _ type: Value.Type,
        _ flat: FlatCoding
    ) throws -> Value {
        guard let unmanagedInbound else { throw Self.notReadable }
        defer { refreshReadiness() }
        return try unmanagedInbound._withUnsafeGuaranteedRef { try $0.finish(&message, type, flat, buffers) }
    }

    /// Takes the message that was found, and calls `body` with its bytes in `message`.
    func finish<R>(_ found: inout FoundMessage, through message: IncomingMessage, _ body: () throws -> R) throws -> R {
        guard let inbound else { throw Self.notReadable }
        defer { refreshReadiness() }
        return try inbound.finish(&found, through: message, body)
    }

    /// Takes the message that was found and returns its bytes, if it is not longer than `most`, and its length.
    func finishBytes(_ found: inout FoundMessage, most: Int) throws -> (bytes: [UInt8]?, count: Int) {
        guard let inbound else { throw Self.notReadable }
        defer { refreshReadiness() }
        return try inbound.finishBytes(&found, most: most)
    }

    /// Takes the message that was found, when its bytes have been copied, or are not wanted.
    @inline(__always)
    func finish(_ message: inout FoundMessage) throws {
        guard let unmanagedInbound else { throw Self.notReadable }
        defer { refreshReadiness() }
        try unmanagedInbound._withUnsafeGuaranteedRef { try $0.finish(&message) }
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

    /// Calls `body` with the ring to send through.
    @inline(__always)
    private func withRingToSend<R>(_ body: (Ring) throws -> R) throws -> R {
        guard let unmanagedOutbound else {
            throw ConnectionError(.notWritable, "this end of the connection can only receive")
        }
        if isClosed { throw ConnectionError(.closed, "this handle of the connection was closed") }
        try watchPeer()
        return try unmanagedOutbound._withUnsafeGuaranteedRef(body)
    }

    /// Calls `body` with the ring to receive from.
    @inline(__always)
    private func withRingToReceive<R>(_ body: (Ring) throws -> R) throws -> R {
        try checkReadable()
        guard let unmanagedInbound else { throw Self.notReadable }
        defer { refreshReadiness() }
        return try unmanagedInbound._withUnsafeGuaranteedRef(body)
    }

    /// The ring to receive from.
    private func ringToReceive() throws -> Ring {
        try checkReadable()
        guard let inbound else { throw Self.notReadable }
        return inbound
    }

    @inline(__always)
    private func checkReadable() throws {
        guard unmanagedInbound != nil else { throw Self.notReadable }
        if isClosed { throw ConnectionError(.closed, "this handle of the connection was closed") }
        try watchPeer()
    }

    private static var notReadable: ConnectionError {
        ConnectionError(.notReadable, "this end of the connection can only send")
    }

    /// Replaces a timeout by the end of file when that has come already and nobody has said so yet.
    @inline(__always)
    private func endIfGone(_ outcome: RingOutcome, _ ring: Ring) -> RingOutcome {
        guard case .timedOut = outcome, ring.isPeerGone, ring.isEmpty else { return outcome }
        return .abandoned
    }
}
