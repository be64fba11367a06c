// SPDX-License-Identifier: Apache-2.0

/// Who is told how far a call of `map`, `imap` or a relative has come.
///
/// ```swift
/// try pool.map(files, progress: .terminal("hashing"), hash)
/// try pool.map(files, progress: PoolProgress { print($0.completed) }, hash)
/// ```
public struct PoolProgress: Sendable {
    /// How far a call has come.
    public struct State: Hashable, Sendable {
        /// How many items have an outcome.
        public var completed: Int
        /// How many items there are; nil where it is not known.
        public var total: Int?
        /// Since the call was made.
        public var elapsed: Duration
        /// Whether it is the last report: every item has its outcome, or the call has failed.
        public var isLast: Bool

        /// The part that is done, from 0 to 1; nil where it is not known how many items there are.
        public var fraction: Double? {
            total.map { $0 == 0 ? 1 : min(1, Double(completed) / Double($0)) }
        }

        /// Items a second, so far.
        public var rate: Double {
            let seconds = elapsed / .seconds(1)
            return seconds > 0 ? Double(completed) / seconds : 0
        }

        /// How long it will take at this rate; nil where that cannot be told.
        public var remaining: Duration? {
            guard let total, rate > 0 else { return nil }
            return .seconds(Double(max(0, total - completed)) / rate)
        }
    }

    /// The shortest time between two reports.
    let interval: Duration
    /// Makes what is called with reports, one after the other; once for each call that reports.
    let makeHandler: @Sendable () -> @Sendable (State) -> Void

    /// Reports to a function.
    ///
    /// - Parameters:
    ///   - interval: The shortest time between two reports. The last one comes in any case, before the call returns.
    ///   - handler: Called on the pool's own thread, the last time on that of whoever takes the results; never twice at the same time. It should be quick.
    public init(every interval: Duration = .milliseconds(100), _ handler: @escaping @Sendable (State) -> Void) {
        self.interval = interval
        makeHandler = { handler }
    }

    private init(every interval: Duration, making makeHandler: @escaping @Sendable () -> @Sendable (State) -> Void) {
        self.interval = interval
        self.makeHandler = makeHandler
    }

    /// Draws a bar with rate and time left on standard error when that is a terminal; otherwise writes a line every ten seconds, and one at the end.
    ///
    /// - Parameter label: What is being done, such as "hashing".
    public static func terminal(_ label: String) -> PoolProgress {
        let terminal = ProgressTerminal(descriptor: 2)
        return PoolProgress(every: terminal.isTerminal ? .milliseconds(100) : .seconds(10)) {
            { state in terminal.show(label, state) }
        }
    }
}
