// SPDX-License-Identifier: Apache-2.0
//
// One end of a connection over a stream socket. A frame, little-endian:
//
//   offset   size
//        0      6   length of the message in bytes
//        6      1   number of descriptors, which go beside the frame's first byte (Unix sockets only)
//        7      1   0x6d
//        8      …   the message
//
// Exactly one frame is read at a time, so that whatever is not received yet is with the kernel: poll(2) on the socket tells the truth, and between frames the socket can go to another process.
// A frame that came in part when a receiver's time was up is kept for the next; one that was sent in part is sent to its end in the background. In the middle of a frame the socket cannot go elsewhere.
//
// The threads and tasks of one process take turns. Processes do not: two that send, or receive, at the same time would mix their frames.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// One end of a connection over a stream.
final class StreamLink: Sendable {
    /// What the two ends agreed on.
    struct Terms: Hashable, Sendable {
        /// The largest message in bytes that the other end takes.
        var sendLimit: Int
        /// The largest message in bytes that is received here.
        var receiveLimit: Int
        /// Whether descriptors can go along.
        var carriesDescriptors: Bool
        /// Whether the other end is a process of the same build of the same program.
        var isSameProgram: Bool
    }

    /// What tells the encoded form of a stream from that of rings, among the flags.
    static let flag: UInt32 = 1 << 8

    let socket: OwnedDescriptor
    let terms: Terms
    let buffers: MessageBuffers
    let users: ForkLocal<StreamUsers>
    private let closed = Atomic<Bool>(false)
    private let broken = Atomic<Bool>(false)
    /// Whether it was sent to another process, which the end of this one's copy does not concern.
    private let hasTravelled = Atomic<Bool>(false)
    private let travellingSocket = TravellingSocket()

    /// Which process (its number by forks, plus 1) has a part of a frame in hand, and the other part is still to be sent or received; 0: none.
    let sending = Underway()
    let receiving = Underway()

    /// A word of its own.
    final class Underway: Sendable {
        let process = Atomic<UInt32>(0)
    }

    /// Takes over a connected socket after the handshake.
    ///
    /// - Throws: `SystemError` when descriptors are short.
    init(_ socket: consuming OwnedDescriptor, _ terms: Terms) throws {
        self.socket = socket
        self.terms = terms
        buffers = MessageBuffers(
            refusal: terms.carriesDescriptors
                ? nil : "cannot be sent through this connection, which carries no descriptors"
        )
        users = ForkLocal { StreamUsers() }
        guard users.value.wake >= 0 else { throw SystemError("making an event descriptor") }
    }

    deinit {
        close()
        // One that was made by somebody who did not see the end.
        users.value.watch.end()
    }

    /// Whether `close` was called.
    var isClosed: Bool {
        // Acquiring: pairs with the exchange in `close`.
        closed.load(ordering: .acquiring)
    }

    /// Whether what came was no frame.
    var isBroken: Bool { broken.load(ordering: .acquiring) }

    /// Ends the use of this end: lets go of the socket and wakes those who wait here.
    func close() {
        guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let users = users.value
        users.watch.end()
        // Not the one of another process: its end would not be seen at the other side as long as this copy is open. Relaxed: whoever sends it and closes it does so in order.
        if !hasTravelled.load(ordering: .relaxed) { LingeringSocket.keep(socket.number) }
        // The number stays taken as long as this object lives: other threads may be about to use it, and must not meet a stranger's file.
        if users.wake >= 0, dup2(users.wake, socket.number) >= 0 {
            _ = fcntl(socket.number, F_SETFD, FD_CLOEXEC)
        } else {
            shutdown(socket.number, Int32(SHUT_RDWR))
        }
        users.rest.withLock { $0 }?.endSoon()
        users.wakeAll()
        // Who has the turn may still be at it, and the rest of a frame for as long as its receiver takes; those behind them find the link closed.
        users.senders.abolish()
        users.receivers.abolish()
    }

    /// Notes that the stream makes no sense any more, and returns the error that says so. The other end learns it as well.
    func breakOff(_ message: String) -> ConnectionError {
        broken.store(true, ordering: .releasing)
        shutdown(socket.number, Int32(SHUT_RDWR))
        return ConnectionError(.invalidMessage, message)
    }

    /// Throws when it cannot be used.
    func checkUsable() throws(ConnectionError) {
        if isClosed { throw ConnectionError(.closed, "this handle of the connection was closed") }
        if isBroken {
            throw ConnectionError(
                .invalidMessage,
                "what came from the other end before was no message: the connection is over"
            )
        }
    }

    /// Notes whether a part of a frame is in this process's hand.
    func note(_ isUnderway: Bool, in direction: Underway) {
        // Relaxed, here and below: changed by whoever has the turn; a forked copy sees what was before the fork.
        let process = isUnderway ? mp_fork_generation() &+ 1 : 0
        if direction.process.load(ordering: .relaxed) != process {
            direction.process.store(process, ordering: .relaxed)
        }
    }

    /// Throws when the process that this one was forked from has a part of a frame in its hand.
    func checkOwner(of direction: Underway) throws(ConnectionError) {
        let process = direction.process.load(ordering: .relaxed)
        guard process != 0, process != mp_fork_generation() &+ 1 else { return }
        throw ConnectionError(.messageUnderWay, "the process this one was forked from is in the middle of a message")
    }

    /// Waits on this thread until the socket is ready, the deadline has come or the link was closed here.
    ///
    /// - Parameter events: POLLIN or POLLOUT.
    /// - Returns: Whether it is ready.
    func waitBlocking(for events: Int32, until deadline: Deadline) throws(SystemError) -> Bool {
        var list = [
            pollfd(fd: socket.number, events: Int16(events), revents: 0),
            pollfd(fd: users.value.wake, events: Int16(POLLIN), revents: 0),
        ]
        while Glibc.poll(&list, 2, deadline.pollTimeout) < 0 {
            guard errno == EINTR else { throw SystemError("waiting for a connection") }
        }
        return list[0].revents != 0 || list[1].revents != 0
    }

    // MARK: - Sending the link

    /// Encodes the socket, for a process of this program.
    ///
    /// - Throws: `ConnectionError` (`messageUnderWay`) in the middle of a message, whose other part would go to the wrong process.
    func encode(type: Any.Type, to encoder: any Encoder) throws {
        try checkUsable()
        for direction in [sending, receiving] where direction.process.load(ordering: .relaxed) != 0 {
            throw ConnectionError(
                .messageUnderWay,
                "a part of a message has been sent or received: the connection cannot go to another process now"
            )
        }
        let flags = Self.flag | (terms.carriesDescriptors ? 1 : 0) | (terms.isSameProgram ? 2 : 0)
        let limits = [terms.sendLimit, terms.receiveLimit].flatMap { limit in
            [UInt32(truncatingIfNeeded: limit), UInt32(truncatingIfNeeded: limit >> 32)]
        }
        hasTravelled.store(true, ordering: .relaxed)
        let travelling = try travellingSocket.copy(of: socket.number) { isClosed }
        try ChannelHandle.encode(
            [travelling.number],
            flags: flags,
            extra: limits,
            owners: [self, travelling],
            type: type,
            to: encoder
        )
    }

    /// Opens an end that was sent here.
    convenience init(_ handle: ReceivedHandle) throws {
        let numbers = handle.extra
        guard numbers.count == 4 else { throw SystemError(code: EBADMSG, operation: "receiving a connection") }
        let limits = [0, 2].map { Int(numbers[$0]) | Int(numbers[$0 + 1]) << 32 }
        let terms = Terms(
            sendLimit: limits[0],
            receiveLimit: limits[1],
            carriesDescriptors: handle.flags & 1 != 0,
            isSameProgram: handle.flags & 2 != 0
        )
        var descriptors = try handle.descriptors(1)
        try self.init(descriptors.next(), terms)
    }
}

/// What of a link belongs to one process: who is at it, and what has come in part.
final class StreamUsers: Sendable {
    /// Readable once the link was closed here; -1 when descriptors are short.
    let wake: Int32
    let senders = Turn()
    let receivers = Turn()
    /// Tasks, and waits for several things, that are told when something comes.
    let waiting = NoticeList()
    let watch = LazyWatch()
    /// Used by whoever has the receivers' turn.
    let reader = FrameReader()
    /// A frame that is sent to its end in the background.
    let rest = PlainMutex<FrameRest?>(nil)

    init() {
        wake = mp_eventfd(0)
    }

    /// Lets all look again who wait.
    func wakeAll() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
        waiting.post()
    }

    deinit {
        if wake >= 0 { close(wake) }
    }
}
