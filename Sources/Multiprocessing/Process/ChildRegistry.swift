// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// The children of this process that were started and have not been seen to end.
final class ChildRegistry: Sendable {
    private struct State {
        var children: [Int32: ChildProcess] = [:]
    }

    private let state = PlainMutex(State())

    /// Adds a child that was started.
    func add(_ child: ChildProcess, processIdentifier: Int32) {
        state.withLock { $0.children[processIdentifier] = child }
    }

    /// Removes a child that has ended; another may have its pid already.
    func remove(_ child: ChildProcess, processIdentifier: Int32) {
        state.withLock { state in
            if state.children[processIdentifier] === child { state.children[processIdentifier] = nil }
        }
    }

    /// All of them.
    var all: [ChildProcess] { state.withLock { Array($0.children.values) } }
}
