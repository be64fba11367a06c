// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// Listens to a child's link until that is closed, which it may be long before the child ends: a closed link stays readable for good.
final class LinkWatch: Sendable {
    private let token = Mutex<Reactor.Token?>(nil)

    /// Begins to listen. Once at a time for a process.
    func begin(_ process: LaunchedProcess, _ reactor: Reactor) throws(SystemError) {
        let begun = try reactor.watch(process.linkNumber) { [self] _ in
            if !process.collect() { end(reactor) }
        }
        token.withLock { $0 = begun }
        // It may have been closed before the token was there.
        if !process.collect() { end(reactor) }
    }

    /// Ends it; does nothing when it has ended.
    func end(_ reactor: Reactor) {
        let ended = token.withLock { token in
            defer { token = nil }
            return token
        }
        if let ended { reactor.endWatch(ended) }
    }
}
