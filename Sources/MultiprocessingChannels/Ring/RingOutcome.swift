// SPDX-License-Identifier: Apache-2.0

/// How an operation on a ring ended.
package enum RingOutcome: Hashable, Sendable {
    /// The message was put or taken.
    case done
    /// The deadline passed; with one that had passed at the start: there is no room, or no message.
    case timedOut
    /// The wait was cancelled.
    case cancelled
    /// No more messages are accepted; or none will come, and all that came were taken.
    case shut
    /// The other side is gone, and with a take: all it had put was taken.
    case abandoned
    /// The message is larger than any ring can hold.
    case tooLarge
    /// Somebody else of the same side is at it; only where a call does not wait for that.
    case busy
}
