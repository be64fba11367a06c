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

    // MARK: - Sending

    /// Sends a message. Blocks while the receiver has not read earlier ones.
    ///
    /// - Throws: `SystemError` with `EPIPE` or `ECONNRESET` when the other end is gone.
    func send(
        _ kind: MessageKind,
        _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        descriptors: [Int32] = []
    ) throws(SystemError) {
        // Room for a memory file among those of the last packet.
        let perPacket = Int(MP_MAXIMUM_DESCRIPTORS) - 1
        var rest = descriptors[...]
        while rest.count > perPacket {
            try sendPacket(.descriptors, flags: 0, count: 0, nil, Array(rest.prefix(perPacket)))
            rest = rest.dropFirst(perPacket)
        }
        if bytes.count <= Self.maximumInlineSize {
            try sendPacket(kind, flags: 0, count: bytes.count, bytes, Array(rest))
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
        _ descriptors: [Int32]
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
                0
            )
        }
        guard sent >= 0 else { throw SystemError("sending a message to a process") }
    }

    private static func memoryFile(holding bytes: UnsafeRawBufferPointer) throws(SystemError) -> OwnedDescriptor {
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
        return file
    }

    // MARK: - Receiving

    /// What a receive found.
    enum Reception {
        case message(Message)
        /// Nothing is there yet.
        case wouldBlock
        /// The other end is closed, and everything it sent was received.
        case endOfFile
    }

    /// Receives the next message.
    ///
    /// - Parameter wait: Whether to wait for one.
    /// - Throws: `SystemError`, with `EBADMSG` for a packet that is no message.
    func receive(wait: Bool) throws -> Reception {
        var descriptors: [Int32] = []
        var isComplete = false
        // What came before a message that never came has no owner but this call.
        defer { if !isComplete { for number in descriptors { close(number) } } }
        return try withUnsafeTemporaryAllocation(byteCount: Self.headerSize + Self.maximumInlineSize, alignment: 8) {
            buffer in
            while true {
                var numbers = [Int32](repeating: -1, count: Int(MP_MAXIMUM_DESCRIPTORS))
                var count = numbers.count
                // Once its descriptors are there, the message itself follows at once.
                let flags = wait || !descriptors.isEmpty ? 0 : Int32(MSG_DONTWAIT)
                let received = mp_receive(socket.number, buffer.baseAddress, buffer.count, &numbers, &count, flags)
                if received < 0, errno == EAGAIN || errno == EWOULDBLOCK { return .wouldBlock }
                // A reset tells that the other end was closed with messages from here unread.
                if received == 0 || (received < 0 && errno == ECONNRESET) { return .endOfFile }
                guard received > 0 else { throw SystemError("receiving a message from a process") }
                descriptors += numbers.prefix(count)
                let packet = UnsafeRawBufferPointer(rebasing: buffer[..<received])
                guard packet.count >= 4, let kind = MessageKind(rawValue: packet.load(as: UInt32.self)) else {
                    throw Self.badMessage
                }
                if kind == .descriptors { continue }
                let message = try Self.message(kind, packet, &descriptors)
                isComplete = true
                return .message(message)
            }
        }
    }

    private static func message(
        _ kind: MessageKind,
        _ packet: UnsafeRawBufferPointer,
        _ descriptors: inout [Int32]
    ) throws -> Message {
        // A crash report is written by a signal handler: the whole packet is the report.
        if kind == .crash { return Message(kind: kind, bytes: Array(packet), descriptors: descriptors) }
        guard packet.count >= headerSize else { throw badMessage }
        let flags = packet.load(fromByteOffset: 4, as: UInt32.self)
        let count = packet.load(fromByteOffset: 8, as: UInt64.self)
        if flags & 1 == 0 {
            guard count == UInt64(packet.count - headerSize) else { throw badMessage }
            return Message(kind: kind, bytes: Array(packet[headerSize...]), descriptors: descriptors)
        }
        guard let number = descriptors.popLast(), count <= UInt64(Int.max) else { throw badMessage }
        let file = OwnedDescriptor(owning: number)
        // The message takes them over, whether or not it comes to be.
        let carried = descriptors
        descriptors = []
        return try Message(kind: kind, count: Int(count), in: file, descriptors: carried)
    }

    private static var badMessage: SystemError {
        SystemError(code: EBADMSG, operation: "receiving a message from a process")
    }
}
