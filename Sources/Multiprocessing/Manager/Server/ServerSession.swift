// SPDX-License-Identifier: Apache-2.0
//
// The server's side of one client process. A thread reads its requests while they come in quick succession, asleep on the ring in between; after a while without one it goes, and the reactor
// watches the client at no cost.

internal import CMultiprocessing
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
    /// How long a thread stays with a client that says nothing, in nanoseconds.
    private static let stay: Int64 = 100_000_000
    /// The most functions that a client may have remembered.
    static let maximumFunctions = 1 << 16

    private static let count = Atomic<UInt64>(0)

    /// Tells the clients apart that this process ever had.
    let serial = ServerSession.count.add(1, ordering: .relaxed).newValue
    let server: ManagerServer
    let link: any ConnectionLink
    private let claim = SessionClaim()
    let flow = Mutex(SessionFlow<OutgoingMessage>())

    /// What the client told, by number. The reader's.
    var functions: [UInt32: any FunctionDefinition] = [:]
    /// What the client has handles of.
    let references = Mutex(ClientReferences<HostedValue>())

    /// Where the client waits, or may hold something.
    private let attachments = Mutex(SessionAttachments())

    /// Creates the session of a client at the other end of `link`.
    init(_ link: any ConnectionLink, server: ManagerServer) {
        self.link = link
        self.server = server
        manager = link is StreamLink ? server.identity : nil
        ownSocket = link.socketNumber
        if let ownSocket { ForkLock.add(ownSocket) }
    }

    deinit {
        if let ownSocket { ForkLock.remove(ownSocket) }
    }

    /// The socket, which must not stay open in a fork of this process: the client sees by its end that the manager has ended.
    private let ownSocket: Int32?

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
            if flow.withLock({ $0.mustPark }) {
                // Before: whoever replaces a parked reader adds the session again, at once perhaps.
                server.watchdog.remove(self)
                if park() { return }
                server.watchdog.add(self)
            }
            do {
                switch try link.receive(into: message, until: Deadline(nanoseconds: mp_now() + Self.stay)) {
                case .done:
                    guard carryOut(message, reader) else { return }
                case .timedOut, .busy:
                    server.watchdog.remove(self)
                    return waitForRequest()
                default:
                    return end()
                }
            } catch {
                // The bytes of a request are here, and only its handles are missing: that one fails.
                guard message.count > 0 else { return end() }
                guard carryOut(message, reader, withoutHandles: error) else { return }
            }
        }
    }

    /// Carries out a request, whose handles were lost if there is an error. Returns whether to read on.
    private func carryOut(
        _ message: IncomingMessage,
        _ reader: UInt64,
        withoutHandles error: (any Error)? = nil
    )
        -> Bool
    {
        do {
            let bytes = message.count
            let step = try readRequest(message, withoutHandles: error)
            message.reset()
            // Before the call begins: from then on somebody else may read on, and a call that comes after this one must not be made before it.
            if case .submit(let call, let value) = step, mustWait(call, of: bytes, for: value) { return true }
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
        // Not on the threads that the program's tasks share, which may all be busy.
        Task.detached(executorPreference: server.threads) { [self] in
            // The end of the client is found by the reader; and when there was no memory to wait, it waits.
            _ = try? await link.poll(until: .never)
            read(claim.claim())
        }
    }

    /// Lets another thread read on, when the reader has been in a call since before `time`. Returns whether it is in a call.
    func relieve(before time: Int64) -> Bool {
        let (reader, isInCall) = claim.relieve(before: time)
        if let reader { server.threads.submit { [self] in read(reader) } }
        return isInCall
    }

    /// Has `value` told when the client ends. Returns false when it has.
    func attach(_ value: HostedValue) -> Bool {
        attachments.withLock { $0.add(value) }
    }

    /// Gives up what the client had.
    private func end() {
        server.watchdog.remove(self)
        link.close()
        for value in attachments.withLock({ $0.end() }) { value.sessionEnded(self) }
        for (number, count) in references.withLock({ $0.end() }) { server.release(number, count: count) }
        functions = [:]
        server.remove(self)
    }
}
