// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

extension ServerSession {
    /// Says how a call ended.
    func answer(_ number: UInt64, _ outcome: Result<ResultEncoder?, any Error>) {
        send { writer, userInfo in
            writer.write(number)
            switch outcome {
            case .success(let result): Outcome.write(result: result, into: &writer, userInfo: userInfo)
            case .failure(let error): Outcome.write(error: error, into: &writer)
            }
        }
    }

    /// Says that a call was not made.
    func refuse(_ number: UInt64, _ error: ManagerError) {
        send { writer, _ in
            writer.write(number)
            writer.write(ManagerAnswer.refused.rawValue)
            error.write(into: &writer)
        }
    }

    /// Tells the client which of the manager's processes this is, from 0: it cannot know whether one ended before this one let it in.
    func greet(_ number: UInt32) {
        let message = link.buffers.takeOutgoing()
        message.write { writer, _ in
            writer.write(UInt64(0))
            writer.write(ManagerAnswer.greeting.rawValue)
            writer.write(number)
        }
        _ = put(message, until: .passed)
        link.buffers.giveBack(message)
    }

    /// Tells a client that does not see how the process ends that it is meant to. What finds no room until `deadline` is not worth waiting for.
    func sayFarewell(until deadline: Deadline) {
        guard manager != nil else { return }
        let message = link.buffers.takeOutgoing()
        message.write { writer, _ in
            writer.write(UInt64(0))
            writer.write(ManagerAnswer.farewell.rawValue)
            writer.write(getpid())
        }
        _ = put(message, until: deadline)
    }

    // MARK: - Sending

    /// Sends an answer, or keeps it while the client has too many to read already.
    private func send(_ write: (inout WireWriter, [CodingUserInfoKey: Any]) -> Void) {
        let message = link.buffers.takeOutgoing()
        fill(message, write)
        deliver(message, until: flow.withLock({ $0.isCongested }) ? nil : .passed)
    }

    private func fill(_ message: OutgoingMessage, _ write: (inout WireWriter, [CodingUserInfoKey: Any]) -> Void) {
        message.write { writer, userInfo in
            guard let manager else { return write(&writer, userInfo) }
            let passage = SessionPassage(self, manager)
            write(&writer, passage.added(to: userInfo))
            passage.writeNumbers(into: &writer)
        }
    }

    /// Sends an answer; one that finds no room in time joins the backlog, at once without a time.
    private func deliver(_ message: OutgoingMessage, until deadline: Deadline?) {
        switch deadline.map({ put(message, until: $0) }) ?? .full {
        case .sent: link.buffers.giveBack(message)
        case .full:
            let mustFlush = flow.withLock { $0.add(message) }
            if mustFlush { server.threads.submit { [self] in flush() } }
        case .failed(let error): deliver(error, insteadOf: message, until: deadline ?? .passed)
        }
    }

    /// Says why an answer cannot be sent. A client that cannot be told that either is let go: so it does not wait for ever.
    private func deliver(_ error: ManagerError, insteadOf message: OutgoingMessage, until deadline: Deadline) {
        let number = message.withBytes { $0.loadUnaligned(as: UInt64.self) }
        if manager != nil { message.withBytes { takeBackHandles(in: $0) } }
        message.reset()
        fill(message) { writer, _ in
            writer.write(number)
            writer.write(ManagerAnswer.refused.rawValue)
            error.write(into: &writer)
        }
        switch put(message, until: deadline) {
        case .sent: link.buffers.giveBack(message)
        case .full: deliver(message, until: nil)
        case .failed(let error):
            Log.write(.warning, "a manager dropped a client that it could not answer: \(error)")
            link.buffers.giveBack(message)
            // Whoever reads finds the end.
            link.close()
        }
    }

    /// Takes back the handles that were counted for the client as the answer was written.
    private func takeBackHandles(in answer: UnsafeRawBufferPointer) {
        let count = Int(answer.loadUnaligned(fromByteOffset: answer.count - 4, as: UInt32.self))
        for index in stride(from: 1, through: count, by: 1) {
            let number = answer.loadUnaligned(fromByteOffset: answer.count - 4 - index * 8, as: UInt64.self)
            if references.withLock({ $0.remove(number) }) { server.release(number, count: 1) }
        }
    }

    /// How the sending of an answer ended.
    private enum Sending {
        /// Also to a client that is gone, which needs none.
        case sent
        case full
        case failed(ManagerError)
    }

    private func put(_ message: OutgoingMessage, until deadline: Deadline) -> Sending {
        do {
            switch try link.send(message, until: deadline) {
            case .timedOut, .busy: return .full
            case .tooLarge:
                return .failed(
                    ManagerError(
                        .tooLarge,
                        "the call was made, but its result is larger than a message may be: ask for it in parts"
                    )
                )
            default: return .sent
            }
        } catch let error as SystemError {
            return .failed(ManagerError(.shortage, "the call was made, but its result could not be sent: \(error)"))
        } catch {
            // Closed: the client is gone.
            return .sent
        }
    }

    /// Sends the backlog as the client makes room.
    private func flush() {
        while true {
            switch flow.withLock({ $0.next() }) {
            case .send(let message):
                switch put(message, until: .never) {
                case .failed(let error): deliver(error, insteadOf: message, until: .never)
                case .sent, .full: link.buffers.giveBack(message)
                }
            case .done(let resumesReading):
                if resumesReading { begin() }
                return
            }
        }
    }
}
