// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// A moment of the monotonic clock at which a wait gives up.
///
/// Waits are made against a moment and not a length of time, so that one interrupted by a signal or a needless wake can simply be made again.
package struct Deadline: Hashable, Sendable {
    /// The moment in nanoseconds of CLOCK_MONOTONIC; negative: none.
    package let nanoseconds: Int64

    /// No end: the wait lasts until it is over.
    package static let never = Deadline(nanoseconds: -1)

    /// A moment that has passed: the call does not wait at all.
    package static let passed = Deadline(nanoseconds: 0)

    /// Creates the deadline at a moment of CLOCK_MONOTONIC.
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// Creates the deadline that lies `timeout` from now: never when it is nil, already passed when it is zero or negative.
    package init(timeout: Duration?) {
        guard let timeout else {
            self = .never
            return
        }
        guard timeout > .zero else {
            self = .passed
            return
        }
        // 292 years from the machine's start are as good as never, and later moments do not fit.
        let (seconds, attoseconds) = timeout.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        // Rounded up: a wait must not end before its time.
        let (length, lengthOverflow) = whole.addingReportingOverflow((attoseconds + 999_999_999) / 1_000_000_000)
        let (moment, momentOverflow) = length.addingReportingOverflow(mp_now())
        self.nanoseconds = overflow || lengthOverflow || momentOverflow ? -1 : moment
    }

    /// Whether the moment has passed.
    package var hasPassed: Bool {
        nanoseconds >= 0 && (nanoseconds == 0 || mp_now() >= nanoseconds)
    }
}
