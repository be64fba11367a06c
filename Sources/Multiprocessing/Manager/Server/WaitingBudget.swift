// SPDX-License-Identifier: Apache-2.0

/// How many calls of a client may wait in the manager for values that are busy. Beyond that nothing further is read from the client, which has to wait itself.
///
/// The arguments of such calls are in the manager's memory, which they would fill. The numbers are large, because what is not read may be just the call that another one waits for, or one of a value that
/// has nothing to do: up to them, a value that hangs keeps nobody else from his. Calls that wait in a room (WaitingRoom.swift) do not count: the room is not busy with them, and only a call that comes later ends
/// their wait.
package struct WaitingBudget {
    /// How many calls may wait. `withValueAsync` and the guide tell both numbers.
    package static let usualCalls = 100_000
    /// How many bytes their requests may have.
    package static let usualBytes = 64 << 20

    private let mostCalls: Int
    private let mostBytes: Int
    private var calls = 0
    private var bytes = 0

    /// Creates the budget of a client none of whose calls waits.
    package init(calls: Int = usualCalls, bytes: Int = usualBytes) {
        mostCalls = calls
        mostBytes = bytes
    }

    /// A call waits, whose request had so many bytes.
    package mutating func add(bytes: Int) {
        calls += 1
        self.bytes += bytes
    }

    /// Such a call does not wait any longer.
    package mutating func remove(bytes: Int) {
        calls -= 1
        self.bytes -= bytes
    }

    /// Whether further calls may come.
    package var hasRoom: Bool { calls <= mostCalls && bytes <= mostBytes }

    /// Whether no more may come: somewhat later, so that a reader that goes on has something to read before it stops again.
    package var isExceeded: Bool { calls > mostCalls + mostCalls / 8 || bytes > mostBytes + mostBytes / 8 }
}
