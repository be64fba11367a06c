// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension StreamLink: ConnectionLink {
    var isReadable: Bool { true }
    var isWritable: Bool { true }
    var isSameProgram: Bool { terms.isSameProgram }

    // MARK: - Receiving

    func receive(into message: IncomingMessage, until deadline: Deadline) throws -> RingOutcome {
        try checkUsable()
        let users = users.value
        guard users.receivers.begin(until: deadline) else { return .timedOut }
        defer { users.receivers.end() }
        while true {
            if let outcome = try take(into: message, users.reader) { return outcome }
            guard try waitBlocking(for: POLLIN, until: deadline) else { return .timedOut }
        }
    }

    func receive(into message: IncomingMessage, until deadline: Deadline) async throws -> RingOutcome {
        try checkUsable()
        try Task.checkCancellation()
        let users = users.value
        let reactor = try Runtime.shared().reactor
        guard try await users.receivers.begin(until: deadline, on: reactor) else { return .timedOut }
        defer { users.receivers.end() }
        if let outcome = try take(into: message, users.reader) { return outcome }
        while true {
            let notice = Notice()
            try add(notice)
            defer { remove(notice) }
            if let outcome = try take(into: message, users.reader) { return outcome }
            guard !deadline.hasPassed else { return .timedOut }
            _ = try await notice.wait(until: deadline, on: reactor)
        }
    }

    /// Takes a message if it is there, with the receivers' turn; nil when there is nothing yet.
    private func take(into message: IncomingMessage, _ reader: FrameReader) throws -> RingOutcome? {
        if isClosed { return .shut }
        try checkUsable()
        try checkOwner(of: receiving)
        do {
            let outcome = try reader.read(self, into: message)
            note(reader.isInsideFrame, in: receiving)
            switch outcome {
            case .message: return .done
            case .nothing: return nil
            case .endOfFile: return isClosed ? .shut : .abandoned
            case .invalid(let reason):
                if isClosed { return .shut }
                throw breakOff(reason)
            }
        } catch let error as SystemError {
            if isClosed { return .shut }
            // Bytes were taken without their descriptors: there is no way to go on.
            if error.code == EMFILE { _ = breakOff("\(error)") }
            throw error
        }
    }

    // MARK: - Waiting

    func poll(until deadline: Deadline) throws -> RingOutcome {
        try checkUsable()
        guard try waitBlocking(for: POLLIN, until: deadline) else { return .timedOut }
        return isClosed ? .shut : .done
    }

    func poll(until deadline: Deadline) async throws -> RingOutcome {
        try Task.checkCancellation()
        let reactor = try Runtime.shared().reactor
        while true {
            try checkUsable()
            let notice = Notice()
            try add(notice)
            defer { remove(notice) }
            if isReady { return isClosed ? .shut : .done }
            guard !deadline.hasPassed else { return .timedOut }
            _ = try await notice.wait(until: deadline, on: reactor)
        }
    }

    var isReady: Bool { isClosed || isBroken || Polling.isReadable(socket.number) }

    func add(_ notice: Notice) throws {
        try checkUsable()
        let users = users.value
        users.waiting.add(notice)
        do {
            // Every time that something comes (EPOLLET): nobody has to read for others to be told as well.
            try users.watch.make(socket.number, for: .written) { _ in users.waiting.post() }
        } catch {
            users.waiting.remove(notice)
            throw error
        }
    }

    func remove(_ notice: Notice) {
        users.value.waiting.remove(notice)
    }

    func markWaiting() -> Bool { false }

    func checkWaitable() throws { try checkUsable() }

    func readableDescriptor() throws -> Int32 {
        try checkUsable()
        return socket.number
    }
}
