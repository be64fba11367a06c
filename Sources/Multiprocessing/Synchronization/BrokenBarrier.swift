// SPDX-License-Identifier: Apache-2.0

/// A barrier was broken before all parties had arrived: by a timeout or a cancelled wait of one of them, by `abort` or `reset`, by an action that threw, or by
/// a process that was killed while it released the others.
///
/// `reset` makes the barrier usable again.
public struct BrokenBarrier: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// Whether it was this wait's own timeout that broke the barrier.
    public let timedOut: Bool

    init(timedOut: Bool = false) {
        self.timedOut = timedOut
    }

    /// What happened.
    public var description: String {
        timedOut ? "the barrier is broken: not all parties arrived in time" : "the barrier is broken"
    }
}
