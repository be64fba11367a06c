// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// A wait for a descriptor.
final class DescriptorTarget: WaitTarget {
    private let number: Int32
    /// What keeps it open during the wait; nil: the caller does.
    private let owner: (any AnyObject & Sendable)?
    private let tokens = PlainMutex<[ObjectIdentifier: (token: Reactor.Token, reactor: Reactor)]>([:])

    init(_ number: Int32, keeping owner: (any AnyObject & Sendable)? = nil) {
        self.number = number
        self.owner = owner
    }

    func checkWaitable() throws {
        guard fcntl(number, F_GETFD) < 0 else { return }
        throw SystemError("waiting for descriptor \(number)")
    }

    var isReady: Bool { Polling.isReadable(number) }

    func add(_ notice: Notice) throws {
        let reactor = try Runtime.shared().reactor
        do {
            let token = try reactor.waitOnce(number, until: .never) { _ in notice.post() }
            tokens.withLock { $0[ObjectIdentifier(notice)] = (token, reactor) }
        } catch {
            // A file that is always ready; the look that follows finds that out.
            guard error.code == EPERM else { throw error }
        }
    }

    func remove(_ notice: Notice) {
        guard let wait = tokens.withLock({ $0.removeValue(forKey: ObjectIdentifier(notice)) }) else { return }
        wait.reactor.cancel(wait.token)
    }

    func markWaiting() -> Bool { false }
}
