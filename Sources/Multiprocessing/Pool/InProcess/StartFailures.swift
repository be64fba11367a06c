// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Starts of workers that fail: a few in a row, with ever more time between them, and then no more.
struct StartFailures {
    /// So many may fail one after the other.
    static let most = 4

    private var count = 0
    /// When the next start may be tried.
    private(set) var next = Deadline.passed

    /// Whether no more are tried.
    var isOver: Bool { count >= Self.most }

    /// Notes a failure, and returns whether it was the last.
    mutating func failed(_ error: any Error) -> Bool {
        count += 1
        next = Deadline(timeout: .milliseconds(10 << (2 * min(count, Self.most))))
        return count == Self.most
    }

    /// Notes a worker that is there.
    mutating func succeeded() {
        guard !isOver else { return }
        count = 0
        next = .passed
    }
}
