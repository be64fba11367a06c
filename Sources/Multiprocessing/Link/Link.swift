// SPDX-License-Identifier: Apache-2.0
//
// Messages between two processes over a local packet socket, which keeps their boundaries: two threads, or a thread and a signal handler, may send at once, and a message
// is there wholly or not at all. A packet:
//
//    0  4 bytes   kind
//    4  4 bytes   flags: bit 0: the bytes are in a memory file, the last descriptor
//    8  8 bytes   number of bytes of the message
//   16  …         the bytes, unless they are in a memory file
//
// At most 253 descriptors fit beside one packet; more go ahead in packets of kind `descriptors`.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// Two connected ends: one to keep, one to give away.
struct LinkPair: ~Copyable {
    let here: Link
    let there: Link
}

/// One end of a link.
struct Link: ~Copyable {
    /// Larger messages travel in a memory file: a packet is copied twice and taken from the kernel's own memory.
    static let maximumInlineSize = 32 * 1024
    private static let headerSize = 16

    /// The socket.
    let socket: OwnedDescriptor
    /// What was sent ahead of a message that is not there yet.
    private let ahead = DescriptorsAhead()

    /// Takes over a packet socket.
    init(_ socket: consuming OwnedDescriptor) {
        self.socket = socket
    }

    /// Makes two connected ends.
    static func pair() throws(SystemError) -> LinkPair {
        var numbers: [Int32] = [-1, -1]
        guard mp_socketpair(&numbers) == 0 else { throw SystemError("making a link to a process") }
        return LinkPair(
            here: Link(OwnedDescriptor(owning: numbers[0])),
            there: Link(OwnedDescriptor(owning: numbers[1]))
        )
    }

    /// Gives up the socket: the caller has to close it.
    consuming func release() -> Int32 { socket.release() }

    // MARK: - Sending

    /// Sends a message. Blocks while the receiver has not read earlier ones, some hundreds of them.
    ///
    /// - Parameter wait: Whether to wait for that; otherwise, for messages in one packet only, it fails with `EAGAIN`.
    /// - Throws: `SystemError` with `EPIPE` or `ECONNRESET` when the other end is gone.
    func send(
        _ kind: MessageKind,
        _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        descriptors: [Int32] = [],
        wait: Bool = true
    ) throws(SystemError) {
        // Room for a memory file among those of the last packet.
        let perPacket = Int(MP_MAXIMUM_DESCRIPTORS) - 1
        var rest = descriptors[...]
        while rest.count > perPacket {
            try sendPacket(.descriptors, flags: 0, count: 0, nil, Array(rest.prefix(perPacket)))
            rest = rest.dropFirst(perPacket)
        }
        if bytes.count <= Self.maximumInlineSize {
            try sendPacket(kind, flags: 0, count: bytes.count, bytes, Array(rest), wait: wait)
        } else {
            let file = try Self.memoryFile(holding: bytes)
            try sendPacket(kind, flags: 1, count: bytes.count, nil, Array(rest) + [file.number])
        }
    }

    private func sendPacket(
        _ kind: MessageKind,
        flags: UInt32,
        count: Int,
        _ body: UnsafeRawBufferPointer?,
        _ descriptors: [Int32],
        wait: Bool = true
    ) throws(SystemError) {
        let header = (kind.rawValue, flags, UInt64(count))
        let sent = withUnsafeBytes(of: header) { header in
            mp_send(
                socket.number,
                header.baseAddress,
                header.count,
                body?.baseAddress,
                body?.count ?? 0,
                descriptors,
                descriptors.count,
                wait ? 0 : Int32(MSG_DONTWAIT)
            )
        }
        guard sent >= 0 else { throw SystemError("sending a message to a process") }
    }

    private static func memoryFile(holding bytes: UnsafeRawBufferPointer) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor.requireFile(of: bytes.count, for: "writing a message of \(bytes.count) bytes")
        let file = try OwnedDescriptor(
            checking: mp_memfd_create("multiprocessing message"),
            "making a memory file for a message"
        )
        var rest = bytes[...]
        // Writing rather than mapping and copying: the pages are allocated by the kernel as it copies, without a fault for each, and shortage is an error.
        while !rest.isEmpty {
            let written = write(file.number, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw SystemError("writing a message of \(bytes.count) bytes") }
            rest = rest.dropFirst(written)
        }
        // The receiver reads it in place: it must stay as it is.
        guard mp_seal(file.number) == 0 else { throw SystemError("sealing a message of \(bytes.count) bytes") }
        return file
    }

    // MARK: - Receiving

    /// What a receive found.
    enum Reception {
        case message(Message)
        /// A message was there, but could not be taken: it is lost, and its descriptors are closed. The next can be received.
        case unreceivable(SystemError)
        /// Nothing is there yet, or not the whole of a message.
        case wouldBlock
        /// The other end is closed, and everything it sent was received.
        case endOfFile
    }

    /// Receives the next message. Called by one thread at a time.
    ///
    /// - Parameter wait: Whether to wait for one.
    /// - Throws: `SystemError` when the socket cannot be read at all.
    func receive(wait: Bool) throws -> Reception {
        try withUnsafeTemporaryAllocation(byteCount: Self.headerSize + Self.maximumInlineSize, alignment: 8) { buffer in
            try withUnsafeTemporaryAllocation(of: Int32.self, capacity: Int(MP_MAXIMUM_DESCRIPTORS)) { numbers in
                try receive(wait: wait, into: buffer, numbers)
            }
        }
    }

    private func receive(
        wait: Bool,
        into buffer: UnsafeMutableRawBufferPointer,
        _ numbers: UnsafeMutableBufferPointer<Int32>
    ) throws -> Reception {
        while true {
            var count = numbers.count
            let flags = wait ? 0 : Int32(MSG_DONTWAIT)
            let received = mp_receive(
                socket.number,
                buffer.baseAddress,
                buffer.count,
                numbers.baseAddress,
                &count,
                flags
            )
            if received < 0, errno == EAGAIN || errno == EWOULDBLOCK { return .wouldBlock }
            // A reset tells, once, that the other end was closed with messages from here unread. What it had sent before is still there.
            if received < 0, errno == ECONNRESET { continue }
            if received == 0 { return .endOfFile }
            let error = SystemError("receiving a message from a process")
            guard received >= 0 || error.code == EMSGSIZE else { throw error }
            if received < 0 {
                // Most often no descriptor was left for those of the packet.
                ahead.spoil(byLosing: MessageKind(rawValue: buffer.load(as: UInt32.self)))
                return .unreceivable(error)
            }
            let descriptors = Array(UnsafeBufferPointer(rebasing: numbers[..<count]))
            let packet = UnsafeRawBufferPointer(rebasing: buffer[..<received])
            guard packet.count >= 4, let kind = MessageKind(rawValue: packet.load(as: UInt32.self)) else {
                return .unreceivable(Self.refuse(descriptors))
            }
            guard kind != .descriptors else {
                ahead.add(descriptors)
                continue
            }
            guard kind.takesDescriptors else { return Self.message(kind, packet, descriptors) }
            // One that lost a part was told as unreceivable already.
            guard let all = ahead.take() else {
                _ = Self.refuse(descriptors)
                continue
            }
            return Self.message(kind, packet, all.isEmpty ? descriptors : all + descriptors)
        }
    }

    /// Makes a message of a packet.
    private static func message(
        _ kind: MessageKind,
        _ packet: UnsafeRawBufferPointer,
        _ descriptors: [Int32]
    ) -> Reception {
        // A crash report is written by a signal handler: the whole packet is the report.
        if kind == .crash {
            return .message(Message(kind: kind, bytes: Array(packet), descriptors: descriptors))
        }
        guard packet.count >= headerSize else { return .unreceivable(refuse(descriptors)) }
        let flags = packet.load(fromByteOffset: 4, as: UInt32.self)
        let count = packet.load(fromByteOffset: 8, as: UInt64.self)
        if flags & 1 == 0 {
            guard count == UInt64(packet.count - headerSize) else { return .unreceivable(refuse(descriptors)) }
            return .message(
                Message(
                    kind: kind,
                    bytes: Array(UnsafeRawBufferPointer(rebasing: packet[headerSize...])),
                    descriptors: descriptors
                )
            )
        }
        guard let number = descriptors.last, count <= UInt64(Int.max) else {
            return .unreceivable(refuse(descriptors))
        }
        let file = OwnedDescriptor(owning: number)
        do {
            // The message takes the others over, whether or not it comes to be.
            let message = try Message(kind: kind, count: Int(count), in: file, descriptors: descriptors.dropLast())
            return .message(message)
        } catch {
            return .unreceivable(error)
        }
    }

    /// Closes the descriptors of a packet that is no message, and returns the error.
    private static func refuse(_ descriptors: [Int32]) -> SystemError {
        for number in descriptors { close(number) }
        return SystemError(code: EBADMSG, operation: "receiving a message from a process")
    }
}

/// The descriptors that were sent ahead of a message because one packet does not carry them all.
private final class DescriptorsAhead: Sendable {
    private struct State {
        var numbers: [Int32] = []
        /// Some of them were lost.
        var isSpoiled = false
    }

    private let state = PlainMutex(State())

    /// Keeps those of one packet.
    func add(_ numbers: [Int32]) {
        state.withLock { $0.numbers += numbers }
    }

    /// Notes that a packet was lost: with one of descriptors, the message that they belong to.
    func spoil(byLosing kind: MessageKind?) {
        state.withLock { state in
            for number in state.numbers { close(number) }
            state = State(numbers: [], isSpoiled: kind == .descriptors)
        }
    }

    /// Gives all that there are to the message that they belong to. Nil when some were lost.
    func take() -> [Int32]? {
        state.withLock { state in
            defer { state = State() }
            for number in state.numbers where state.isSpoiled { close(number) }
            return state.isSpoiled ? nil : state.numbers
        }
    }

    deinit {
        for number in take() ?? [] { close(number) }
    }
}

extension SystemError {
    /// Whether sending failed because the other end of a link is gone.
    var isClosedLink: Bool { code == EPIPE || code == ECONNRESET }
}
