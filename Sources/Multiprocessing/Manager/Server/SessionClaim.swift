// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Synchronization

/// Who reads a client's requests: one reader at a time, told by a number that grows with each.
///
/// A word: the number of the reader, and in bit 0 whether it is in a call. The watchdog takes the requests away from a reader that is in a call for too long; that reader finds out
/// when it returns.
final class SessionClaim: Sendable {
    private let word = Atomic<UInt64>(0)
    /// When the call began.
    private let since = Atomic<Int64>(0)

    /// A claim that no reader has yet.
    init() {}

    /// Makes the caller the reader, when nobody else is. Returns its number.
    func claim() -> UInt64 {
        // Acquiring and releasing: what the last reader wrote is seen.
        word.wrappingAdd(2, ordering: .acquiringAndReleasing).newValue >> 1
    }

    /// Says that the reader is about to be in a call.
    @inline(__always)
    func beginCall(_ reader: UInt64) {
        since.store(mp_now(), ordering: .relaxed)  // ordered by the exchange
        // Sequentially consistent: before the look at the watchdog's mark (Watchdog.wake).
        _ = word.exchange(reader << 1 | 1, ordering: .sequentiallyConsistent)
    }

    /// Says that the call is over. Returns whether the reader is still the one.
    @inline(__always)
    func endCall(_ reader: UInt64) -> Bool {
        word.compareExchange(
            expected: reader << 1 | 1,
            desired: reader << 1,
            ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Takes the requests away from a reader that has been in a call since before `time`. Returns the number of the next reader; and whether any is in a call.
    func relieve(before time: Int64) -> (reader: UInt64?, isInCall: Bool) {
        let seen = word.load(ordering: .sequentiallyConsistent)
        guard seen & 1 == 1 else { return (nil, false) }
        guard since.load(ordering: .relaxed) < time else { return (nil, true) }
        let next = (seen >> 1) + 1
        // When another call has begun meanwhile, the reader is relieved a little early.
        let result = word.compareExchange(expected: seen, desired: next << 1, ordering: .acquiringAndReleasing)
        return (result.exchanged ? next : nil, true)
    }
}
