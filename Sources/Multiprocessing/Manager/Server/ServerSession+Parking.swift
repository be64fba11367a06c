// SPDX-License-Identifier: Apache-2.0
//
// When a client is not read from (SessionFlow), and how it goes on. A parked reader costs no thread: whoever makes room, by sending the last answer of the backlog or by making a call that waited, starts
// another one.
//
// A client whose calls wait for a value that hangs may be parked for ever, and die meanwhile. Its end is found by reading; so somebody looks for it now and then, by the clock: with a watch, the socket
// would need another descriptor, which a fork of this process would keep open. Over TCP, the end of a client comes behind what it had sent: when that does not fit into the kernel's buffers here, the end is known
// when its machine gives up, as with one that vanishes without a word.

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension ServerSession {
    /// How often to look whether a parked client is still there: what it holds passes on that much later.
    private static let lookoutInterval = Duration.milliseconds(100)

    /// Parks the reader if it has to. Returns whether it has to go.
    func park() -> Bool {
        let (isParked, startsLookout) = flow.withLock { ($0.park(), $0.beginsLookout()) }
        if startsLookout { lookOutSoon() }
        return isParked
    }

    /// Lets a call, whose request had so many bytes, wait for its turn. Returns false when that is now.
    func mustWait(_ call: PendingCall, of bytes: Int, for value: HostedValue) -> Bool {
        call.bytes = bytes
        guard value.add(call) == nil else { return false }
        // Its turn may have come meanwhile, and be noted first: for a moment one too few are counted, by the reader, who looks later.
        flow.withLock { $0.noteWaiting(bytes: bytes) }
        return true
    }

    /// Notes that the turn of a call has come that had to wait.
    func noteTurn(of call: PendingCall) {
        if flow.withLock({ $0.noteTurn(bytes: call.bytes) }) { begin() }
    }

    /// Looks later whether the client is still there.
    private func lookOutSoon() {
        _ = server.reactor.waitUntil(Deadline(timeout: Self.lookoutInterval)) { [self] _ in lookOut() }
    }

    /// Looks whether the client is still there; on the reactor's thread.
    private func lookOut() {
        let isGone = isOver
        switch flow.withLock({ $0.lookOut(clientIsGone: isGone) }) {
        case .again: lookOutSoon()
        case .resumesReading: begin()
        case .over: break
        }
    }

    /// Whether nothing more will come than has come already: the client has closed its end, or was let go.
    private var isOver: Bool {
        if link.isClosed { return true }
        guard let number = link.socketNumber else { return false }
        // POLLRDHUP of poll(2), which the headers show to GNU programs only.
        let hangUp: Int16 = 0x2000
        var entry = pollfd(fd: number, events: hangUp, revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return false }
        return entry.revents & (hangUp | Int16(POLLHUP) | Int16(POLLERR)) != 0
    }
}
