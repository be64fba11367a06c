// SPDX-License-Identifier: Apache-2.0
//
// Descriptors beside a ring: packets on a local packet socket (unix(7), SCM_RIGHTS), in the order of the messages they belong to. A packet:
//
//    0  8 bytes   ticket of the message
//
// Tickets grow and are never used twice. A producer killed before its message existed, or a consumer killed before it had received everything, leaves packets behind, and so does a message of several
// packets for which there was not enough room; the next consumer that expects descriptors drops what has a lower ticket than its own.

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

    /// Whether what is sent here is received here: both ends are this process's. If not, what can be received comes from the other direction.
    var isLoop: Bool { sender != receiver }

    /// How an attempt to send ended.
    enum Outcome {
        /// Everything is on its way.
        case sent
        /// The socket takes no more before something is received.
        case full
        /// This user has too many descriptors on their way, in all sockets together (ETOOMANYREFS in unix(7)).
        case tooMany
        /// Nobody has the other end, or this end was closed meanwhile.
        case gone
    }

    /// Sends descriptors, without waiting.
    func send(_ descriptors: [Int32], ticket: UInt64) throws(SystemError) -> Outcome {
        var rest = descriptors[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Self.perPacket))
            var ticket = ticket
            guard mp_send(sender, &ticket, 8, nil, 0, part, part.count, Int32(MSG_DONTWAIT)) >= 0 else {
                switch errno {
                case EAGAIN: return .full
                case ETOOMANYREFS: return .tooMany
                case EPIPE, ECONNRESET, ENOTSOCK: return .gone
                default: throw SystemError("sending descriptors")
                }
            }
            rest = rest.dropFirst(part.count)
        }
        return .sent
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

    /// Drops the packets in front whose tickets are not above `last`.
    func drain(upTo last: UInt64 = .max) {
        var numbers = [Int32](repeating: -1, count: Self.perPacket)
        var tag: UInt64 = 0
        while true {
            var room = numbers.count
            // A look at the ticket alone leaves packet and descriptors where they are.
            let isNext =
                last == .max || recv(receiver, &tag, 8, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 8 && tag <= last
            guard isNext else { return }
            guard mp_receive(receiver, &tag, 8, &numbers, &room, Int32(MSG_DONTWAIT)) > 0 else { return }
            for number in numbers.prefix(room) { close(number) }
        }
    }
}
