// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// The head of a frame (see StreamLink.swift).
struct FrameHead {
    static let size = 8
    private static let mark: UInt64 = 0x6d

    let length: Int
    let descriptorCount: Int

    /// The head as it is sent.
    var word: UInt64 { (UInt64(length) | UInt64(descriptorCount) << 48 | Self.mark << 56).littleEndian }

    init(length: Int, descriptorCount: Int) {
        self.length = length
        self.descriptorCount = descriptorCount
    }

    /// Reads a head; nil when it is none.
    init?(word: UInt64) {
        let word = UInt64(littleEndian: word)
        guard word >> 56 == Self.mark else { return nil }
        length = Int(word & (1 << 48 - 1))
        descriptorCount = Int(word >> 48 & 0xff)
    }
}

/// Takes frames from a stream as far as they have come.
///
/// `@unchecked` is safe because only one call at a time uses it: that which has the turn.
final class FrameReader: @unchecked Sendable {
    /// What is allocated at first for a message, however long it says that it is.
    private static let firstCapacity = 64 << 10

    private var headWord: UInt64 = 0
    private var headCount = 0
    private var head: FrameHead?
    private var body = ReceiveBuffer()
    private var descriptors: [Int32] = []

    deinit {
        for number in descriptors { close(number) }
    }

    /// Whether a part of a frame has come.
    var isInsideFrame: Bool { headCount > 0 }

    /// How a step ended.
    enum Outcome {
        /// A message is there.
        case message
        /// There is no more at present.
        case nothing
        /// The other end is closed, or gone, and everything it had sent was whole.
        case endOfFile
        /// What came is no frame.
        case invalid(String)
    }

    /// Takes what there is of the next frame, without waiting.
    func read(_ link: StreamLink, into message: IncomingMessage) throws(SystemError) -> Outcome {
        while headCount < FrameHead.size {
            let offset = headCount
            let count = try withUnsafeMutableBytes(of: &headWord) { word throws(SystemError) in
                try receive(link, UnsafeMutableRawBufferPointer(rebasing: word[offset...]))
            }
            guard count > 0 else { return count == 0 ? end : .nothing }
            headCount += count
        }
        guard let head = head ?? FrameHead(word: headWord) else { return .invalid("what came is no message") }
        if self.head == nil {
            if let reason = refusal(of: head, link.terms) { return .invalid(reason) }
            self.head = head
            try body.reserve(min(head.length, Self.firstCapacity))
        }
        while body.count < head.length {
            // More memory only for what has come: a false length costs nothing.
            if body.free.isEmpty { try body.reserve(min(head.length, body.count * 2)) }
            let room = UnsafeMutableRawBufferPointer(rebasing: body.free.prefix(head.length - body.count))
            let count = try receive(link, room)
            guard count > 0 else { return count == 0 ? end : .nothing }
            body.count += count
        }
        message.take(&body, descriptors: descriptors)
        descriptors = []
        (self.head, headWord, headCount) = (nil, 0, 0)
        return .message
    }

    /// What the end of the stream is here.
    private var end: Outcome {
        isInsideFrame
            ? .invalid("the stream ended in the middle of a message: the other end was killed, or cut off") : .endOfFile
    }

    private func refusal(of head: FrameHead, _ terms: StreamLink.Terms) -> String? {
        if head.length > terms.receiveLimit {
            return "a message of \(head.length) bytes came where \(terms.receiveLimit) are allowed"
        }
        // They come with the frame's first byte.
        guard head.descriptorCount == descriptors.count else {
            return "a message came with \(descriptors.count) descriptors that says it has \(head.descriptorCount)"
        }
        return nil
    }

    /// Receives what there is: the number of bytes, 0 at the end, -1 when there is nothing yet.
    private func receive(_ link: StreamLink, _ room: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        var numbers: [Int32] = []
        var numberCount = 0
        if link.terms.carriesDescriptors, head == nil {
            numbers = [Int32](repeating: -1, count: Int(MP_MAXIMUM_DESCRIPTORS))
            numberCount = numbers.count
        }
        let flags = Int32(MSG_DONTWAIT)
        let count: Int
        if numberCount > 0 {
            count = mp_receive(link.socket.number, room.baseAddress, room.count, &numbers, &numberCount, flags)
            if count >= 0 { descriptors += numbers.prefix(numberCount) }
        } else {
            count = recv(link.socket.number, room.baseAddress, room.count, flags)
        }
        guard count < 0 else { return count }
        switch errno {
        case EAGAIN, EINTR: return -1
        case ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH: return 0
        // The kernel cuts the list of descriptors short where this process may have no more open files.
        case EMSGSIZE: throw SystemError(code: EMFILE, operation: "receiving descriptors")
        default: throw SystemError("receiving from a connection")
        }
    }
}

/// Memory that grows as a message comes in.
struct ReceiveBuffer: ~Copyable {
    private(set) var memory: UnsafeMutableRawPointer?
    private(set) var capacity = 0
    /// How much of it is filled.
    var count = 0

    init() {}

    /// The part that is not filled.
    var free: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory.map { $0 + count }, count: capacity - count)
    }

    /// Makes room for `wanted` bytes in all.
    mutating func reserve(_ wanted: Int) throws(SystemError) {
        guard wanted > capacity else { return }
        guard let grown = realloc(memory, wanted) else {
            throw SystemError(code: ENOMEM, operation: "receiving a message of \(wanted) bytes")
        }
        memory = grown
        capacity = wanted
    }

    /// Exchanges its memory for another's, and is empty then.
    mutating func exchange(_ other: inout UnsafeMutableRawPointer?, _ otherCapacity: inout Int) {
        swap(&memory, &other)
        swap(&capacity, &otherCapacity)
        count = 0
    }

    deinit {
        Glibc.free(memory)
    }
}
