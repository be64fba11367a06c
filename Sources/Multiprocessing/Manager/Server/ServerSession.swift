// SPDX-License-Identifier: Apache-2.0
//
// The server's side of one client process. A thread reads its requests while they come in quick succession, asleep on the ring in between; after a while without one it goes, and the reactor
// watches the client at no cost.

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// One client of a manager's server.
///
/// `@unchecked` is safe because `functions` belongs to the reader, of whom there is one at a time (`SessionClaim`), and the rest is constant or locked.
final class ServerSession: @unchecked Sendable {
    /// How long a thread stays with a client that says nothing.
    private static let stay = Duration.milliseconds(100)
    /// The most functions that a client may have remembered.
    static let maximumFunctions = 1 << 16

    let server: ManagerServer
    private let link: any ConnectionLink
    private let claim = SessionClaim()
    private let flow = Mutex(SessionFlow<OutgoingMessage>())

    /// What the client told, by number. The reader's.
    var functions: [UInt32: any FunctionDefinition] = [:]
    /// What the client has handles of.
    let references = Mutex(ClientReferences<HostedValue>())

    /// Creates the session of a client at the other end of `link`.
    init(_ link: any ConnectionLink, server: ManagerServer) {
        self.link = link
        self.server = server
        manager = link is StreamLink ? server.identity : nil
    }

    /// The manager, for a client to and from which handles go as numbers.
    let manager: ManagerIdentity?

    // MARK: - Reading

    /// Starts to read.
    func begin() {
        let reader = claim.claim()
        server.threads.submit { [self] in read(reader) }
    }

    /// Reads and carries out requests, as the reader of that number.
    private func read(_ reader: UInt64) {
        server.watchdog.add(self)
        let message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        while true {
            if flow.withLock({ $0.park() }) { return server.watchdog.remove(self) }
            switch (try? link.receive(into: message, until: Deadline(timeout: Self.stay))) ?? .shut {
            case .done:
                guard carryOut(message, reader) else { return }
            case .timedOut, .busy:
                server.watchdog.remove(self)
                return waitForRequest()
            default:
                return end()
            }
        }
    }

    /// Carries out a request. Returns whether to read on.
    private func carryOut(_ message: IncomingMessage, _ reader: UInt64) -> Bool {
        do {
            let step = try readRequest(message)
            message.reset()
            // Before the call begins: from then on somebody else may read on, and a call that comes after this one must not be made before it.
            if case .submit(let call, let value) = step, value.add(call) == nil { return true }
            if case .done = step { return true }
            claim.beginCall(reader)
            server.watchdog.wake()
            switch step {
            case .done: break
            case .submit(let call, let value): value.make(call)
            case .make(let make): make()
            }
            // Otherwise somebody else reads on by now.
            return claim.endCall(reader)
        } catch {
            Log.write(.warning, "a manager dropped a client: \(error)")
            end()
            return false
        }
    }

    /// Waits for a request without a thread.
    private func waitForRequest() {
        Task.detached { [self] in
            // The end of the client is found by the reader.
            _ = try? await link.poll(until: .never)
            begin()
        }
    }

    /// Lets another thread read on, when the reader has been in a call since before `time`. Returns whether it is in a call.
    func relieve(before time: Int64) -> Bool {
        let (reader, isInCall) = claim.relieve(before: time)
        if let reader { server.threads.submit { [self] in read(reader) } }
        return isInCall
    }

    /// Gives up what the client had.
    private func end() {
        server.watchdog.remove(self)
        link.close()
        for (number, count) in references.withLock({ $0.end() }) { server.release(number, count: count) }
        functions = [:]
        server.remove(self)
    }

    // MARK: - Answering

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

    /// Sends an answer, or keeps it while the client has too many to read already.
    private func send(_ write: (inout WireWriter, [CodingUserInfoKey: Any]) -> Void) {
        let message = link.buffers.takeOutgoing()
        message.write { writer, userInfo in
            guard let manager else { return write(&writer, userInfo) }
            let passage = SessionPassage(self, manager)
            write(&writer, passage.added(to: userInfo))
            passage.writeNumbers(into: &writer)
        }
        let isSent = flow.withLock({ $0.isCongested }) ? false : trySend(message)
        if isSent { return link.buffers.giveBack(message) }
        let mustFlush = flow.withLock { $0.add(message) }
        if mustFlush { server.threads.submit { [self] in flush() } }
    }

    /// Tells a client that does not see how the process ends that it is meant to. What finds no room is not worth waiting for.
    func sayFarewell() {
        guard manager != nil else { return }
        let message = link.buffers.takeOutgoing()
        message.write { writer, _ in
            writer.write(UInt64(0))
            writer.write(ManagerAnswer.farewell.rawValue)
            writer.write(getpid())
        }
        _ = trySend(message)
    }

    /// Sends if there is room. Returns false if there is none; a client that is gone needs no answer.
    private func trySend(_ message: OutgoingMessage) -> Bool {
        guard let outcome = try? link.send(message, until: .passed) else { return true }
        return outcome != .timedOut && outcome != .busy
    }

    /// Sends the backlog as the client makes room.
    private func flush() {
        while true {
            switch flow.withLock({ $0.next() }) {
            case .send(let message):
                _ = try? link.send(message, until: .never)
                link.buffers.giveBack(message)
            case .done(let resumesReading):
                if resumesReading { begin() }
                return
            }
        }
    }
}
