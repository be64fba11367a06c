// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// A point in time until which a wait may last, on the clock that all waits of this package use (CLOCK_MONOTONIC).
///
/// Made once from a caller's timeout, so that a wait in several steps, or one that a signal interrupted, does not last longer.
package struct Deadline: Sendable, Comparable {
    /// Nanoseconds of the clock; `Int64.max` for never.
    package let nanoseconds: Int64

    /// The deadline that never comes.
    package static let never = Deadline(nanoseconds: .max)

    /// A deadline that has come: the call does not wait at all.
    package static let passed = Deadline(nanoseconds: 0)

    /// Creates a deadline from the clock's own time.
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// Creates the deadline of a wait that starts now: nil waits for ever, zero and less not at all.
    package init(timeout: Duration?) {
        guard let timeout else {
            self = .never
            return
        }
        let (seconds, attoseconds) = timeout.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        let (end, endOverflow) = mp_now().addingReportingOverflow(max(0, sum))
        // Beyond 292 years is never.
        self.init(nanoseconds: overflow || sumOverflow || endOverflow ? (seconds < 0 ? mp_now() : .max) : end)
    }

    /// Whether it never comes.
    package var isNever: Bool { nanoseconds == .max }

    /// Whether it has come.
    package var hasPassed: Bool {
        // The one that always has passed without a look at the clock: every attempt that does not wait asks.
        !isNever && (nanoseconds <= 0 || mp_now() >= nanoseconds)
    }

    /// The whole milliseconds left, rounded up, as poll(2) takes them: -1 for ever.
    package var pollTimeout: Int32 {
        guard !isNever else { return -1 }
        let left = nanoseconds - mp_now()
        return left <= 0 ? 0 : Int32(clamping: (left + 999_999) / 1_000_000)
    }

    /// The time as futex waits take it: negative for never.
    package var futexTime: Int64 { isNever ? -1 : nanoseconds }

    /// Compares by time.
    package static func < (a: Deadline, b: Deadline) -> Bool { a.nanoseconds < b.nanoseconds }
}
