// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension StreamLink {
    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32], until deadline: Deadline) throws -> RingOutcome {
        guard var frame = try frame(bytes, descriptors) else { return .tooLarge }
        let users = users.value
        guard users.senders.begin(until: deadline) else { return .timedOut }
        // The turn goes to whoever sends the rest.
        var hasTurn = true
        defer { if hasTurn { users.senders.end() } }
        while true {
            if let outcome = try put(&frame) { return outcome }
            do {
                if try waitBlocking(for: POLLOUT, until: deadline) { continue }
            } catch {
                if frame.isBegun { try finishInBackground(frame, &hasTurn) }
                throw error
            }
            guard frame.isBegun else { return .timedOut }
            try finishInBackground(frame, &hasTurn)
            return .done
        }
    }

    func send(_ message: OutgoingMessage, until deadline: Deadline) async throws -> RingOutcome {
        try Task.checkCancellation()
        // The bytes stay where they are until the message is given back, after this call.
        let bytes = message.withBytes { $0 }
        guard var frame = try frame(bytes, message.descriptors) else { return .tooLarge }
        let users = users.value
        let reactor = try Runtime.shared().reactor
        guard try await users.senders.begin(until: deadline, on: reactor) else { return .timedOut }
        var hasTurn = true
        defer { if hasTurn { users.senders.end() } }
        while true {
            if let outcome = try put(&frame) { return outcome }
            do {
                if try await waitWritable(until: deadline, on: reactor) { continue }
            } catch {
                guard frame.isBegun else { throw error }
            }
            guard frame.isBegun else { return .timedOut }
            try finishInBackground(frame, &hasTurn)
            return .done
        }
    }

    /// Prepares a frame; nil when the other end would refuse it.
    private func frame(_ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32]) throws -> OutgoingFrame? {
        try checkUsable()
        guard bytes.count <= terms.sendLimit else { return nil }
        guard descriptors.count <= Int(MP_MAXIMUM_DESCRIPTORS) else {
            let text =
                "a message has \(descriptors.count) descriptors where at most \(MP_MAXIMUM_DESCRIPTORS) can go along"
            throw ConnectionError(.messageTooLong, text)
        }
        return OutgoingFrame(bytes, descriptors)
    }

    /// Sends what goes at once, with the senders' turn; nil when not all of it did.
    private func put(_ frame: inout OutgoingFrame) throws -> RingOutcome? {
        if isClosed { return .shut }
        try checkUsable()
        try checkOwner(of: sending)
        do throws(SystemError) {
            let isDone = try frame.send(to: socket.number)
            note(!isDone && frame.isBegun, in: sending)
            return isDone ? .done : nil
        } catch {
            if isClosed { return .shut }
            if error.isOfLostPeer { return .abandoned }
            // What the next one sends would be taken for the rest of this.
            if frame.isBegun { throw breakOff("a message could not be sent to its end: \(error)") }
            throw error
        }
    }

    /// Suspends until the socket takes bytes; false when the deadline came before.
    private func waitWritable(until deadline: Deadline, on reactor: Reactor) async throws -> Bool {
        let notice = Notice()
        // Told of a close here as well.
        try add(notice)
        defer { remove(notice) }
        let token = try reactor.waitOnce(socket.number, for: .writable, until: .never) { _ in notice.post() }
        defer { reactor.cancel(token) }
        return try await notice.wait(until: deadline, on: reactor)
    }

    /// Lets the reactor send the rest of a frame of which a part is sent, and end the senders' turn then, which is not the caller's any more.
    ///
    /// - Throws: `ConnectionError` when that cannot be: the frame is cut, and the stream over.
    private func finishInBackground(_ frame: OutgoingFrame, _ hasTurn: inout Bool) throws {
        let users = users.value
        do {
            // Not held by the rest: a connection that is dropped is closed, which ends the rest.
            let rest = try FrameRest(frame, socket.number, on: Runtime.shared().reactor) { [weak self] in
                users.rest.withLock { $0 = nil }
                if let self { note(false, in: sending) }
                users.senders.end()
            }
            users.rest.withLock { $0 = rest }
            hasTurn = false
            // Closed at this moment, it could not know of the rest.
            if isClosed { rest.endSoon() }
            try rest.begin()
        } catch {
            throw breakOff("a message could not be sent to its end: \(error)")
        }
    }
}

/// A frame on its way out. The caller keeps bytes and descriptors.
///
/// `@unchecked` is safe because it is used by one call.
struct OutgoingFrame: @unchecked Sendable {
    private let head: UInt64
    private let bytes: UnsafeRawBufferPointer
    private let descriptors: [Int32]
    private var sent = 0

    init(_ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32]) {
        head = FrameHead(length: bytes.count, descriptorCount: descriptors.count).word
        self.bytes = bytes
        self.descriptors = descriptors
    }

    /// Whether a part of it is sent.
    var isBegun: Bool { sent > 0 }

    /// Sends as much as the socket takes and returns whether that was the end of it.
    mutating func send(to socket: Int32) throws(SystemError) -> Bool {
        while sent < FrameHead.size + bytes.count {
            let count = withUnsafeBytes(of: head) { head in
                let head = UnsafeRawBufferPointer(rebasing: head.dropFirst(sent))
                let body = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(max(0, sent - FrameHead.size)))
                return mp_send(
                    socket,
                    head.baseAddress,
                    head.count,
                    body.baseAddress,
                    body.count,
                    descriptors,
                    sent == 0 ? descriptors.count : 0,
                    Int32(MSG_DONTWAIT)
                )
            }
            if count < 0, errno == EAGAIN { return false }
            guard count > 0 else { throw SystemError("sending through a connection") }
            sent += count
        }
        return true
    }

    /// A copy of what is not sent yet.
    var rest: [UInt8] {
        let all = withUnsafeBytes(of: head) { Array($0) + Array(bytes) }
        return Array(all.dropFirst(sent))
    }
}

extension SystemError {
    /// Whether it says that the other end of a connection is gone.
    var isOfLostPeer: Bool {
        [EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH].contains(code)
    }
}
