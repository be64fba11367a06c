// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Starts of workers that fail: a few rounds in a row, with ever more time between them, and then no more.
///
/// What keeps one worker from starting, such as a database that cannot be reached for a moment, keeps all those from it that start at the same time. So what counts is whether it still does so after a pause: of the starts that
/// were begun before the last counted failure, none counts any more.
struct StartFailures {
    /// So many rounds may fail one after the other.
    static let most = 4
    /// The pause grows no longer after so many.
    private static let mostGrowth = 5

    /// How many rounds have failed.
    private var rounds = 0
    /// The round in which a start that is begun now is: it grows with each failure that counts.
    private(set) var round = 0
    /// When the next start may be tried.
    private(set) var next = Deadline.passed

    /// Whether no more are tried.
    var isOver: Bool { rounds >= Self.most }

    /// Notes a failure, and returns whether it counts.
    ///
    /// - Parameter round: The round in which the start was begun; nil for the present one.
    mutating func count(round begun: Int?) -> Bool {
        if let begun, begun < round { return false }
        rounds += 1
        round += 1
        next = Deadline(timeout: .milliseconds(10 << (2 * min(rounds, Self.mostGrowth))))
        return true
    }

    /// Notes a failure, and returns whether it was the last.
    ///
    /// - Parameter round: The round in which the start was begun; nil for the present one.
    mutating func failed(_ error: any Error, round begun: Int? = nil) -> Bool {
        guard count(round: begun) else { return false }
        return rounds == Self.most
    }

    /// Notes a worker that is there.
    mutating func succeeded() {
        guard !isOver else { return }
        beginAnew()
        next = .passed
    }

    /// Counts from the beginning again. A pause that has begun goes on: where one worker answers, another may fail as often as it is started.
    mutating func beginAnew() {
        rounds = 0
    }
}
