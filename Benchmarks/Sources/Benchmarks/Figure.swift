// SPDX-License-Identifier: Apache-2.0

/// One number of one system.
struct Figure: Sendable {
    /// Whose it is.
    let system: System
    /// The metric's name, with ".p99" for the slowest of a hundred.
    let name: String
    /// The number, in `unit`.
    let value: Double
    /// What it counts.
    let unit: Unit

    /// The line of `--json`.
    var json: String {
        "{\"system\": \"\(system.rawValue)\", \"metric\": \"\(name)\", "
            + "\"value\": \(value.threeDigits), \"unit\": \"\(unit.rawValue)\"}"
    }
}

extension Double {
    /// The number with at least three digits that count, and none that do not.
    var threeDigits: String {
        let magnitude = abs(self)
        let decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
        return fixed(decimals)
    }

    /// The number with so many decimals.
    func fixed(_ decimals: Int) -> String {
        guard isFinite, abs(self) < 1e15 else { return "\(self)" }
        var scale: Int64 = 1
        for _ in 0..<decimals { scale *= 10 }
        let scaled = Int64((abs(self) * Double(scale)).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard decimals > 0 else { return "\(sign)\(scaled)" }
        let digits = "\(scaled % scale)"
        return "\(sign)\(scaled / scale)." + String(repeating: "0", count: decimals - digits.count) + digits
    }
}
