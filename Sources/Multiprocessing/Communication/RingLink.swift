// SPDX-License-Identifier: Apache-2.0
//
// One end of a connection between processes of one machine: a ring for each direction, in one memory file, a bell for tasks, and a socket. Descriptors go through the socket, and its
// end of file says that nobody has the other end any more. It travels as the descriptors of file, bell and socket.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import Synchronization

/// One end of a local connection.
final class RingLink: Sendable {
    /// What this end may do, and which of the two it is.
    struct Role: Hashable, Sendable {
        /// 0 or 1: which ring it sends through; it receives through the other one.
        var side: Int
        var reads: Bool
        var writes: Bool

        var flags: UInt32 { UInt32(side) | (reads ? 2 : 0) | (writes ? 4 : 0) }

        init(side: Int, reads: Bool, writes: Bool) {
            (self.side, self.reads, self.writes) = (side, reads, writes)
        }

        init(flags: UInt32) {
            self.init(side: Int(flags & 1), reads: flags & 2 != 0, writes: flags & 4 != 0)
        }
    }

    /// The most bytes on their way in one direction before a sender waits. A single message may be larger.
    static let byteLimit = 4 << 20

    let role: Role
    let file: RingFile
    let bell: SharedDescriptor
    let socket: SharedDescriptor
    /// Messages from here; nil where this end cannot send.
    let outbound: Ring?
    /// Messages to here; nil where this end cannot receive.
    let inbound: Ring?
    /// The same, for calls that last no longer than this object: no count goes up and down with each message.
    let unmanagedOutbound: Unmanaged<Ring>?
    let unmanagedInbound: Unmanaged<Ring>?
    let outboundTasks: RingTasks?
    let inboundTasks: RingTasks?
    let buffers = MessageBuffers()
    let ready = ReadyDescriptor()
    private let watch = LazyWatch()
    private let travellingSocket = TravellingSocket()
    private let closed = Atomic<Bool>(false)

    /// Creates one end.
    ///
    /// - Parameter isNew: Whether the rings are to be set up.
    init(
        _ role: Role,
        file: RingFile,
        bell: consuming OwnedDescriptor,
        socket: consuming OwnedDescriptor,
        isNew: Bool
    ) throws {
        self.role = role
        self.file = file
        self.bell = SharedDescriptor(bell)
        self.socket = SharedDescriptor(socket)
        let half = file.size / 2
        let lane = DescriptorLane(sender: self.socket.number, receiver: self.socket.number)
        let (bellNumber, socketNumber) = (self.bell.number, self.socket.number)
        let owners = [self.bell, self.socket]
        func ring(_ side: Int, answers: Ring? = nil) throws -> Ring {
            try Ring(
                file,
                side * half..<(side + 1) * half,
                bell: bellNumber,
                lane: lane,
                peer: socketNumber,
                answers: answers,
                owners: owners,
                isNew: isNew,
                byteLimit: Self.byteLimit
            )
        }
        outbound = role.writes ? try ring(role.side) : nil
        inbound = role.reads ? try ring(1 - role.side, answers: outbound) : nil
        unmanagedOutbound = outbound.map { .passUnretained($0) }
        unmanagedInbound = inbound.map { .passUnretained($0) }
        let outboundTasks = outbound.map { RingTasks($0, bell: bellNumber) }
        self.outboundTasks = outboundTasks
        inboundTasks = inbound.map { RingTasks($0, bell: bellNumber, sharing: outboundTasks) }
    }

    /// Makes both ends.
    ///
    /// - Throws: `SystemError` when memory or descriptors are short.
    static func pair(duplex: Bool) throws -> (RingLink, RingLink) {
        var sockets: [Int32] = [-1, -1]
        guard mp_socketpair(&sockets) == 0 else { throw SystemError("making the sockets of a connection") }
        let here = OwnedDescriptor(owning: sockets[0])
        let there = OwnedDescriptor(owning: sockets[1])
        let file = try RingFile()
        let bell = try OwnedDescriptor(checking: mp_eventfd(0), "making an event descriptor")
        let second = try bell.duplicate()
        // The receiving end first where there is one direction only, as in Python.
        let first = try RingLink(
            Role(side: 0, reads: true, writes: duplex),
            file: file,
            bell: bell,
            socket: here,
            isNew: true
        )
        if !duplex {
            return (
                first,
                try RingLink(
                    Role(side: 1, reads: false, writes: true),
                    file: file,
                    bell: second,
                    socket: there,
                    isNew: false
                )
            )
        }
        return (
            first,
            try RingLink(
                Role(side: 1, reads: true, writes: true),
                file: file,
                bell: second,
                socket: there,
                isNew: false
            )
        )
    }

    /// Opens an end that was sent here.
    convenience init(_ handle: ReceivedHandle) throws {
        var descriptors = try handle.descriptors(3)
        let role = Role(flags: handle.flags)
        let file = try RingFile(adopting: descriptors.next())
        let bell = try descriptors.next()
        try self.init(role, file: file, bell: bell, socket: descriptors.next(), isNew: false)
    }

    /// Encodes this end's descriptors.
    ///
    /// - Throws: `ConnectionError` when it was closed.
    func encode(type: Any.Type, to encoder: any Encoder) throws {
        let travelling = try travellingSocket.copy(of: socket.number) { isClosed }
        let numbers = [file.descriptor, bell.number, travelling.number]
        try ChannelHandle.encode(numbers, flags: role.flags, owners: [self, travelling], type: type, to: encoder)
    }

    deinit {
        close()
        // One that was made by somebody who did not see the end.
        watch.end()
        outboundTasks?.close()
        inboundTasks?.close()
    }

    /// Whether `close` was called.
    var isClosed: Bool {
        // Acquiring: pairs with the exchange in `close`.
        closed.load(ordering: .acquiring)
    }

    /// Ends the use of this end: lets go of the socket, tells the other end, and wakes those who wait here.
    func close() {
        guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        watch.end()
        // The number stays taken as long as this object lives: other threads may be about to use it, and must not meet a stranger's file.
        dup2(bell.number, socket.number)
        _ = fcntl(socket.number, F_SETFD, FD_CLOEXEC)
        for ring in [outbound, inbound] {
            ring?.closeHere()
            ring?.depart()
        }
        outboundTasks?.wake()
        inboundTasks?.wake()
    }

    // MARK: - The other end

    /// Lets the kernel say when nobody has the other end any more; before this process sleeps, or sends without ever looking.
    @inline(__always)
    func watchPeer() throws {
        if !watch.isMade { try beginWatching() }
    }

    @inline(never)
    private func beginWatching() throws {
        let (outbound, inbound, outboundTasks, inboundTasks) = (outbound, inbound, outboundTasks, inboundTasks)
        try watch.make(socket.number, for: .hangUp) { _ in
            outbound?.abandon()
            inbound?.abandon()
            outboundTasks?.wake()
            inboundTasks?.wake()
        }
    }
}
