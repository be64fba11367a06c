// SPDX-License-Identifier: Apache-2.0

/// README's table: the metrics that tell most, in words, with the best of the further peers.
struct ReadmeTable: CustomStringConvertible {
    /// A line of the table.
    private struct Row {
        let metric: String
        let work: String
        /// What CPython's cell says where it has no figure.
        var withoutCPython = ""
    }

    private static let rows = [
        Row(metric: "start.join.forkserver", work: "start and join an empty child"),
        Row(metric: "start.join.forkserver.spare", work: "the same with a spare ready"),
        Row(metric: "start.join.spawn", work: "the same by `.spawn`"),
        Row(metric: "start.cold", work: "first child of a program"),
        Row(metric: "pool.start.2", work: "a pool of 2, and a result of each worker"),
        Row(metric: "call.roundtrip", work: "`apply`, there and back"),
        Row(metric: "call.roundtrip.blocked", work: "the same when all were asleep"),
        Row(metric: "call.async.rate", work: "`applyAsync`, then all results"),
        Row(metric: "map.chunk1.rate", work: "`map` of `Int`s, one at a time"),
        Row(metric: "map.default.rate", work: "`map`, chunks as the pool chooses"),
        Row(metric: "imap.unordered.rate", work: "`imapUnordered`, one at a time"),
        Row(metric: "result.256MiB", work: "a result of 256 MiB"),
        Row(metric: "argument.256MiB", work: "an argument of 256 MiB"),
        Row(metric: "array.reuse.8MiB", work: "a task with 8 MiB that all have"),
        Row(metric: "pipe.roundtrip.8", work: "8 bytes through a pipe and back"),
        Row(metric: "pipe.roundtrip.1048576", work: "1 MiB through a pipe and back"),
        Row(metric: "queue.rate.8", work: "queue, `Int`s"),
        Row(metric: "queue.rate.65536", work: "queue, 64 KiB each"),
        Row(metric: "queue.rate.2p2c.8", work: "queue, `Int`s, 2 put and 2 take"),
        Row(metric: "lock.uncontended", work: "lock and unlock, nobody else there"),
        Row(metric: "value.increment.2", work: "`withLock { $0 += 1 }` from two processes"),
        Row(metric: "manager.append", work: "append to a manager's list"),
        Row(metric: "manager.pipelined.rate", work: "50,000 appends under way together"),
        Row(metric: "manager.tasks.rate", work: "the same, a Swift task for each"),
        Row(metric: "worker.memory", work: "memory of an idle child"),
        Row(metric: "crash.detect", work: "SIGKILL of a worker, to the error", withoutCPython: "never"),
        Row(metric: "crash.replace", work: "to a result of its replacement", withoutCPython: "never"),
        Row(metric: "parent.killed", work: "SIGKILL of the parent, to the end of all", withoutCPython: "never"),
        Row(metric: "scaling.2", work: "part of the ideal speed, 2 workers"),
    ]

    private let figures: [Figure]

    /// Creates a table of figures in any order.
    init(_ figures: [Figure]) {
        self.figures = figures
    }

    /// Whether a metric has a line in the table.
    static func includes(_ metric: Metric) -> Bool {
        rows.contains { $0.metric == metric.name }
    }

    /// How many lines there are when everything has been measured.
    static var count: Int { rows.count }

    /// The lines.
    var description: String {
        (["| | this package | CPython | best other | limit |", "|---|---|---|---|---|"] + Self.rows.compactMap(line))
            .joined(separator: "\n")
    }

    /// Returns the line of a metric; nil where it has not been measured.
    private func line(_ row: Row) -> String? {
        let ofMetric = figures.filter { $0.name == row.metric }
        guard let subject = ofMetric.first(where: { $0.system == .subject }) else { return nil }
        func cell(_ figure: Figure) -> String {
            "\(figure.inWords) (\(Table.ratio(subject, figure))×)"
        }
        let cpython = ofMetric.first { $0.system == .cpython }.map(cell) ?? row.withoutCPython
        let others = ofMetric.filter { ![.subject, .cpython, .limits].contains($0.system) }
        let best = subject.unit.isRate ? others.max { $0.value < $1.value } : others.min { $0.value < $1.value }
        let other = best.map { "\($0.system.rawValue) \(cell($0))" } ?? ""
        let limit = ofMetric.first { $0.system == .limits }?.inWords ?? ""
        return "| \(row.work) | \(subject.inWords) | \(cpython) | \(other) | \(limit) |"
    }
}

extension Figure {
    /// The number in the unit that suits it.
    fileprivate var inWords: String {
        switch unit {
        case .nanoseconds: Self.time(value)
        case .microseconds: Self.time(value * 1000)
        case .kibibytes: "\(value.fixed(0)) KiB"
        case .perSecond where value >= 1e6: "\((value / 1e6).fixed(1)) M/s"
        case .perSecond: "\((value / 1e3).fixed(0)) k/s"
        case .ofIdeal: value.fixed(2)
        }
    }

    private static func time(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1000: "\(nanoseconds.twoDigits) ns"
        case ..<1_000_000: "\((nanoseconds / 1000).twoDigits) µs"
        default: "\((nanoseconds / 1_000_000).twoDigits) ms"
        }
    }
}

extension Double {
    /// The number with one decimal below ten, and none above.
    fileprivate var twoDigits: String { fixed(self < 10 ? 1 : 0) }
}
