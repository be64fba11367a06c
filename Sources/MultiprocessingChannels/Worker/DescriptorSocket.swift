// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
package import MultiprocessingPrimitives

/// The way of descriptors between a pool and a worker, beside the lanes and in the same order as the records they belong to: packets of a local socket (unix(7), SCM_RIGHTS).
package struct DescriptorSocket: Sendable {
    /// Descriptors in one packet.
    private static let perPacket = Int(MP_MAXIMUM_DESCRIPTORS)
    /// So many milliseconds are waited until fewer descriptors are on their way.
    private static let mostPauses = 10_000

    private let number: Int32

    /// Uses a packet socket that the caller keeps open.
    package init(_ number: Int32) {
        self.number = number
    }

    /// Sends descriptors.
    ///
    /// - Parameter wait: Whether to wait while the socket is full. If not, and it is full at the first packet, false is returned and nothing was sent; so too when too many descriptors stay on their way for long.
    /// - Throws: `SystemError`; where some packets were sent and the others cannot be (EPROTO), no receiver can make sense of what follows.
    package func send(_ descriptors: [Int32], wait: Bool) throws(SystemError) -> Bool {
        var rest = descriptors[...]
        var pauses = 0
        while !rest.isEmpty {
            let part = Array(rest.prefix(Self.perPacket))
            var tag: UInt8 = 0
            // Once a part is on its way the others have to follow.
            let flags = wait || rest.count < descriptors.count ? 0 : Int32(MSG_DONTWAIT)
            guard mp_send(number, &tag, 1, nil, 0, part, part.count, flags) >= 0 else {
                let error = SystemError("sending descriptors")
                if error.code == EINTR { continue }
                guard [EAGAIN, EWOULDBLOCK, ETOOMANYREFS].contains(error.code) else { throw error }
                let isFirst = rest.count == descriptors.count
                if isFirst, !wait || pauses >= Self.mostPauses { return false }
                if pauses >= Self.mostPauses { throw SystemError(code: EPROTO, operation: error.operation) }
                // The kernel tells nobody when fewer descriptors of this user are on their way (unix(7), ETOOMANYREFS).
                usleep(1000)
                pauses += 1
                continue
            }
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    /// Receives `count` descriptors, which are there.
    ///
    /// - Throws: `SystemError`: EMFILE when this process may have no more of them; those that came are closed then, and it stands behind them all.
    package func receive(_ count: Int) throws(SystemError) -> [Int32] {
        var received: [Int32] = []
        var expected = count
        var failure: SystemError?
        while expected > 0 {
            var numbers = [Int32](repeating: -1, count: Self.perPacket)
            var room = numbers.count
            var tag: UInt8 = 0
            // They were sent before the record that told of them.
            let result = mp_receive(number, &tag, 1, &numbers, &room, Int32(MSG_DONTWAIT))
            let error = errno
            received += numbers.prefix(max(room, 0))
            if result != 1 {
                // The kernel cuts the list short where this process may have no more open files.
                guard result < 0, error == EMSGSIZE else {
                    // Nothing there is no shortage: whoever tells of descriptors that were never sent makes no sense.
                    let code = result == 0 ? EPIPE : error == EAGAIN ? EBADMSG : error
                    failure = SystemError(code: code, operation: "receiving descriptors")
                    break
                }
                failure = SystemError(code: EMFILE, operation: "receiving descriptors")
            }
            expected -= min(expected, Self.perPacket)
        }
        guard failure == nil, received.count == count else {
            for descriptor in received { close(descriptor) }
            throw failure ?? SystemError(code: EBADMSG, operation: "receiving descriptors")
        }
        return received
    }
}
