// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Keeps one buffer of each kind between calls, so that their memory stays warm.
///
/// Without a lock, which a forked child could find held by a thread that it does not have.
final class MessageBuffers: Sendable {
    /// Why messages can carry no handles; nil if they can.
    private let refusal: String?
    private let outgoing = Atomic<Unmanaged<OutgoingMessage>?>(nil)
    private let incoming = Atomic<Unmanaged<IncomingMessage>?>(nil)

    init(refusal: String? = nil) {
        self.refusal = refusal
    }

    deinit {
        // Relaxed: nobody else is left.
        outgoing.load(ordering: .relaxed)?.release()
        incoming.load(ordering: .relaxed)?.release()
    }

    /// Calls `body` with an empty buffer.
    @inline(__always)
    func withOutgoing<R>(_ body: (OutgoingMessage) throws -> R) rethrows -> R {
        let buffer = takeOutgoing()
        defer { giveBack(buffer) }
        return try body(buffer)
    }

    /// Calls `body` with an empty buffer.
    @inline(__always)
    func withIncoming<R>(_ body: (IncomingMessage) throws -> R) rethrows -> R {
        let buffer = takeIncoming()
        defer { giveBack(buffer) }
        return try body(buffer)
    }

    /// An empty buffer, to be given back.
    func takeOutgoing() -> OutgoingMessage {
        // Acquiring, here and below: pairs with the release in `giveBack` of whoever used it last.
        outgoing.exchange(nil, ordering: .acquiring)?.takeRetainedValue() ?? OutgoingMessage(refusal: refusal)
    }

    /// An empty buffer, to be given back.
    func takeIncoming() -> IncomingMessage {
        incoming.exchange(nil, ordering: .acquiring)?.takeRetainedValue() ?? IncomingMessage()
    }

    /// Takes a buffer back.
    func giveBack(_ buffer: OutgoingMessage) {
        buffer.reset()
        outgoing.exchange(.passRetained(buffer), ordering: .acquiringAndReleasing)?.release()
    }

    /// Takes a buffer back.
    func giveBack(_ buffer: IncomingMessage) {
        buffer.reset()
        incoming.exchange(.passRetained(buffer), ordering: .acquiringAndReleasing)?.release()
    }
}
