// SPDX-License-Identifier: Apache-2.0

/// How far something has come, as text. Pure.
struct ProgressBar {
    let label: String
    let state: PoolProgress.State

    /// A bar of at most `width` columns: `hashing  45% ━━━━━━━╺───────  450/1000  123/s  0:04 left`.
    func text(width: Int) -> String {
        guard let fraction = state.fraction else { return String(line.prefix(width)) }
        let percent = String(Int(fraction * 100))
        let head = "\(label) \(String(repeating: " ", count: 3 - min(3, percent.count)))\(percent)% "
        let tail = "  \(count)  \(rate)  \(time)"
        let columns = min(40, width - head.count - tail.count)
        guard columns >= 4 else { return String((head + tail).prefix(width)) }
        let filled = Int(fraction * Double(columns))
        return head + String(repeating: "━", count: filled) + String(repeating: "─", count: columns - filled) + tail
    }

    /// A line without a bar: `hashing: 450/1000 (45%), 123/s, 0:04 left`.
    var line: String {
        let percent = state.fraction.map { " (\(Int($0 * 100))%)" } ?? ""
        return "\(label): \(count)\(percent), \(rate), \(time)"
    }

    private var count: String { "\(state.completed)\(state.total.map { "/\($0)" } ?? "")" }

    private var rate: String {
        let rate = state.rate
        switch rate {
        case 1e6...: return "\(Self.decimal(rate / 1e6))M/s"
        case 1e3...: return "\(Self.decimal(rate / 1e3))k/s"
        case 10...: return "\(Int(rate))/s"
        default: return "\(Self.decimal(rate))/s"
        }
    }

    /// The time left; at the end, the time taken.
    private var time: String {
        if state.isLast { return "\(Self.clock(state.elapsed))" }
        guard let remaining = state.remaining else { return Self.clock(state.elapsed) }
        return "\(Self.clock(remaining)) left"
    }

    /// A number with one decimal.
    private static func decimal(_ number: Double) -> String {
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// Hours, minutes and seconds, as many as there are.
    private static func clock(_ duration: Duration) -> String {
        let seconds = Int(clamping: duration.components.seconds)
        let (minutes, rest) = (seconds / 60, seconds % 60)
        let end = "\(rest < 10 ? "0" : "")\(rest)"
        guard minutes >= 60 else { return "\(minutes):\(end)" }
        return "\(minutes / 60):\(minutes % 60 < 10 ? "0" : "")\(minutes % 60):\(end)"
    }
}
