// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives

/// Counts the items of one call, and reports now and then.
///
/// `@unchecked Sendable` is safe because what counts is used under the pool's lock, and what reports under its own.
final class ProgressMeter: @unchecked Sendable {
    private struct Reporter {
        let report: @Sendable (PoolProgress.State) -> Void
        var hasReportedLast = false
    }

    private let total: Int?
    private let itemsPerPiece: Int
    private let interval: Int64
    private let start = mp_now()
    /// Read by `finish` as well, when nothing counts any more.
    private var completed = 0
    private var nextReport: Int64
    /// Held while the user's function is called, so that reports come one after the other; it may not wait for this call.
    private let reporter: PlainMutex<Reporter>

    /// Creates a meter.
    ///
    /// - Parameters:
    ///   - total: How many items there are, if that is known.
    ///   - itemsPerPiece: How many of them are in a piece, but perhaps the last.
    init(_ progress: PoolProgress, total: Int?, itemsPerPiece: Int) {
        self.total = total
        self.itemsPerPiece = itemsPerPiece
        let (seconds, attoseconds) = progress.interval.components
        interval = max(0, seconds) * 1_000_000_000 + attoseconds / 1_000_000_000
        nextReport = start + interval
        reporter = PlainMutex(Reporter(report: progress.makeHandler()))
    }

    private func state(isLast: Bool) -> PoolProgress.State {
        PoolProgress.State(
            completed: completed,
            total: total,
            elapsed: .nanoseconds(mp_now() - start),
            isLast: isLast
        )
    }

    /// Counts pieces that were settled, under the pool's lock. Returns a report to be made without it, if one is due.
    func note(_ pieces: Int) -> (@Sendable () -> Void)? {
        completed += pieces * itemsPerPiece
        if let total { completed = min(completed, total) }
        let now = mp_now()
        guard now >= nextReport else { return nil }
        nextReport = now + interval
        let state = state(isLast: false)
        return { [self] in
            reporter.withLock { reporter in
                if !reporter.hasReportedLast { reporter.report(state) }
            }
        }
    }

    /// Makes the last report, once nothing is counted any more. Only the first call does anything.
    func finish() {
        reporter.withLock { reporter in
            guard !reporter.hasReportedLast else { return }
            reporter.hasReportedLast = true
            reporter.report(state(isLast: true))
        }
    }
}
