// SPDX-License-Identifier: Apache-2.0
//
// Descriptors beside a ring: packets on a local packet socket (unix(7), SCM_RIGHTS), in the order of the messages they belong to. A packet:
//
//    0  8 bytes   ticket of the message
//
// Tickets grow and are never used twice. A producer killed before its message existed, or a consumer killed before it had received everything, leaves packets behind; the next consumer that expects
// descriptors drops what has a lower ticket than its own.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// The two sockets for the descriptors of one ring: where to send and where to receive.
package struct DescriptorLane: Sendable {
    let sender: Int32
    let receiver: Int32

    /// Descriptors in one packet.
    private static let perPacket = Int(MP_MAXIMUM_DESCRIPTORS)

    /// Creates a lane from sockets that the caller keeps open.
    package init(sender: Int32, receiver: Int32) {
        self.sender = sender
        self.receiver = receiver
    }

    /// Sends descriptors; false when the socket takes no more at present.
    func send(_ descriptors: [Int32], ticket: UInt64) throws(SystemError) -> Bool {
        var rest = descriptors[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Self.perPacket))
            var ticket = ticket
            guard mp_send(sender, &ticket, 8, nil, 0, part, part.count, Int32(MSG_DONTWAIT)) >= 0 else {
                if errno == EAGAIN || errno == EWOULDBLOCK { return false }
                throw SystemError("sending descriptors")
            }
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    /// Receives the `count` descriptors of the message with `ticket`, and drops those of earlier ones.
    func receive(ticket: UInt64, count: Int, into descriptors: inout [Int32]) throws(SystemError) {
        var received: [Int32] = []
        var numbers = [Int32](repeating: -1, count: Self.perPacket)
        while received.count < count {
            var tag: UInt64 = 0
            var room = numbers.count
            let result = mp_receive(receiver, &tag, 8, &numbers, &room, Int32(MSG_DONTWAIT))
            // The kernel cuts the list short where this process may have no more open files.
            let error = errno == EMSGSIZE ? EMFILE : errno
            guard result == 8, tag <= ticket else {
                for number in received + numbers.prefix(result >= 0 ? room : 0) { close(number) }
                throw SystemError(code: result < 0 ? error : EBADMSG, operation: "receiving descriptors")
            }
            if tag == ticket {
                received += numbers.prefix(room)
            } else {
                for number in numbers.prefix(room) { close(number) }
            }
        }
        descriptors += received
    }

    /// Drops whatever is there.
    func drain() {
        var numbers = [Int32](repeating: -1, count: Self.perPacket)
        var tag: UInt64 = 0
        while true {
            var room = numbers.count
            guard mp_receive(receiver, &tag, 8, &numbers, &room, Int32(MSG_DONTWAIT)) > 0 else { return }
            for number in numbers.prefix(room) { close(number) }
        }
    }
}

extension Ring {
    /// Sends the descriptors of the next message and returns their ticket, 0 without descriptors; nil when the socket takes no more before others are received. With the producers' lock.
    @inline(__always)
    func send(_ descriptors: [Int32], isEmpty: Bool) throws(SystemError) -> UInt64? {
        descriptors.isEmpty ? 0 : try sendTicketed(descriptors, isEmpty: isEmpty)
    }

    private func sendTicketed(_ descriptors: [Int32], isEmpty: Bool) throws(SystemError) -> UInt64? {
        let ticket = base.load(fromByteOffset: 152, as: UInt64.self) &+ 1
        base.storeBytes(of: ticket, toByteOffset: 152, as: UInt64.self)
        if try lane.send(descriptors, ticket: ticket) { return ticket }
        // Full without a message in the ring: of what the dead left.
        guard isEmpty, try dropLeftovers() else { return nil }
        return try lane.send(descriptors, ticket: ticket) ? ticket : nil
    }

    /// Drops the packets that nobody will receive; with the producers' lock and an empty ring. False when a consumer would not let go.
    ///
    /// A consumer that took the last message may still be receiving its descriptors: it has the lock then, and does not sleep.
    private func dropLeftovers() throws(SystemError) -> Bool {
        for _ in 0..<100 {
            if items.load() == Self.waiting {
                lane.drain()
                return true
            }
            switch try consumers.acquire(until: Deadline(timeout: .milliseconds(1))) {
            case .acquired, .ownerDied:
                lane.drain()
                _ = consumers.releaseIfHeldByThread()
                return true
            default:
                continue
            }
        }
        return false
    }
}
