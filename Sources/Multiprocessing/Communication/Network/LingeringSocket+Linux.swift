// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// A TCP socket that is kept open for a while after its connection was closed, until the other end has acknowledged all that was sent.
///
/// Closing one while something that came is not received, or comes later, has the kernel send a reset, and drop what it has not delivered (RFC 2525, 2.17). Sockets of one machine deliver at once.
final class LingeringSocket: Sendable {
    /// How long the other end may take nothing.
    private static let patience = FrameRest.timeAfterClose
    /// The longest pause between two looks, in nanoseconds: nothing tells when something was acknowledged.
    private static let longestPause: Int64 = 50_000_000

    private let socket: OwnedDescriptor
    private let reactor: Reactor

    private init(_ socket: consuming OwnedDescriptor, _ reactor: Reactor) {
        self.socket = socket
        self.reactor = reactor
    }

    /// Keeps a duplicate of `socket` open if that is a TCP socket with something underway. Without a descriptor for it, what is underway may be lost, as it is when this process ends.
    static func keep(_ socket: Int32) {
        guard isInternet(socket), case let unsent = unacknowledged(socket), unsent > 0,
            let reactor = try? Runtime.shared().reactor,
            let duplicate = try? OwnedDescriptor(checking: mp_duplicate(socket), "closing a connection")
        else { return }
        LingeringSocket(duplicate, reactor).look(after: 1_000_000, unsent, until: Deadline(timeout: patience))
    }

    /// Looks again after a pause, as long as something is underway, and gives up once that has not become less for a while.
    private func look(after pause: Int64, _ before: Int32, until deadline: Deadline) {
        _ = reactor.waitUntil(Deadline(nanoseconds: mp_now() + pause)) { [self] _ in
            let unsent = Self.unacknowledged(socket.number)
            guard unsent > 0, unsent < before || !deadline.hasPassed else { return }
            let deadline = unsent < before ? Deadline(timeout: Self.patience) : deadline
            look(after: min(2 * pause, Self.longestPause), unsent, until: deadline)
        }
    }

    private static func isInternet(_ socket: Int32) -> Bool {
        var family: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 else { return false }
        return family == AF_INET || family == AF_INET6
    }

    /// How many bytes were sent and not acknowledged (SIOCOUTQ, tcp(7)); 0 when the connection is over.
    private static func unacknowledged(_ socket: Int32) -> Int32 {
        // A connection that was reset keeps its count.
        var entry = pollfd(fd: socket, events: 0, revents: 0)
        if poll(&entry, 1, 0) != 0 { return 0 }
        var count: Int32 = 0
        return ioctl(socket, UInt(TIOCOUTQ), &count) == 0 ? count : 0
    }
}
