// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The rest of a frame whose sender's time was up when a part of it was sent already. It is sent by the reactor as the receiver reads; until then nothing else can be, so there is at most one for a connection.
///
/// It has its own descriptor: closing the connection does not cut the frame, unless the receiver takes nothing for a while then. A process that ends does.
final class FrameRest: Sendable {
    private let socket: OwnedDescriptor
    private let bytes: [UInt8]
    private let sent = Atomic<Int>(0)
    private let timer = PlainMutex<Reactor.Token?>(nil)

    /// How long the receiver may take nothing after the connection was closed.
    static let timeAfterClose = Duration.seconds(5)
    private let reactor: Reactor
    private let completion: @Sendable () -> Void

    /// Copies what is left of `frame`.
    ///
    /// - Parameter completion: Called once, when the rest is sent or nobody receives it any more.
    /// - Throws: `SystemError` when descriptors are short.
    init(
        _ frame: OutgoingFrame,
        _ socket: Int32,
        on reactor: Reactor,
        completion: @escaping @Sendable () -> Void
    ) throws {
        self.socket = try OwnedDescriptor(checking: mp_duplicate(socket), "sending the rest of a message")
        bytes = frame.rest
        self.reactor = reactor
        self.completion = completion
    }

    /// Begins to send.
    ///
    /// - Throws: `SystemError` when there can be no wait for the socket; the frame is cut then.
    func begin() throws {
        try proceed()
    }

    /// Gives the receiver some more time, again and again while it takes something, and cuts the frame then.
    func endSoon() {
        let before = sent.load(ordering: .relaxed)
        let token = reactor.waitUntil(Deadline(timeout: Self.timeAfterClose)) { [self] _ in
            let now = sent.load(ordering: .relaxed)
            if now == bytes.count { return }
            if now > before { return endSoon() }
            // Ends the wait for room, with an error.
            shutdown(socket.number, Int32(SHUT_RDWR))
        }
        let last = timer.withLock { timer in
            defer { timer = token }
            return timer
        }
        if let last { reactor.cancel(last) }
    }

    /// Sends what the socket takes, and waits for it to take more.
    private func proceed() throws {
        // Relaxed, here and below: one call at a time, each begun by the one before.
        while case let start = sent.load(ordering: .relaxed), start < bytes.count {
            let count = bytes.withUnsafeBytes {
                mp_send(
                    socket.number,
                    $0.baseAddress.map { $0 + start },
                    $0.count - start,
                    nil,
                    0,
                    nil,
                    0,
                    Int32(MSG_DONTWAIT)
                )
            }
            if count < 0, errno == EAGAIN { return try wait() }
            guard count > 0 else {
                // What the next one sends would be taken for the rest of this.
                shutdown(socket.number, Int32(SHUT_RDWR))
                break
            }
            sent.store(start + count, ordering: .relaxed)
        }
        complete()
    }

    private func wait() throws {
        do {
            _ = try reactor.waitOnce(socket.number, for: .writable, until: .never) { [self] _ in try? proceed() }
        } catch {
            // Cut off: the other end sees the end of the stream in the middle of a message.
            shutdown(socket.number, Int32(SHUT_RDWR))
            complete()
            throw error
        }
    }

    private func complete() {
        if let token = timer.withLock({ $0 }) {
            reactor.cancel(token)
            LingeringSocket.keep(socket.number)
        }
        completion()
    }
}
