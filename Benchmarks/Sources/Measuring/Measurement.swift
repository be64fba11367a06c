// SPDX-License-Identifier: Apache-2.0
//
// What a program that measures tells, as one line on its standard output:
//
//   {"metric": "start.join.spawn", "unit": "ns", "samples": [2310441, 2290112]}
//
// All programs of a run, in whatever language, are called alike: PROGRAM METRIC SECONDS.

/// What a program measured of one metric in one round.
public struct Measurement: Equatable, Sendable {
    /// The metric's name.
    public var metric: String
    /// "ns", "B" or "1/s"; larger units are made of these where figures are shown.
    public var unit: String
    /// What was measured, in the order of measuring.
    public var samples: [Double]

    /// Creates a measurement.
    public init(_ metric: String, unit: String, _ samples: [Double]) {
        self.metric = metric
        self.unit = unit
        self.samples = samples
    }

    /// The line.
    public var line: String {
        let list = samples.map { "\($0)" }.joined(separator: ", ")
        return "{\"metric\": \"\(metric)\", \"unit\": \"\(unit)\", \"samples\": [\(list)]}"
    }

    /// Reads a line; nil when it is none of a measurement.
    public init?(line: some StringProtocol) {
        guard let metric = Self.text(after: "\"metric\": \"", upTo: "\"", in: line),
            let unit = Self.text(after: "\"unit\": \"", upTo: "\"", in: line),
            let list = Self.text(after: "\"samples\": [", upTo: "]", in: line)
        else { return nil }
        let samples = list.split(separator: ",").map { Double($0.drop { $0 == " " }) }
        guard !samples.contains(nil) else { return nil }
        self.init(metric, unit: unit, samples.compactMap(\.self))
    }

    /// Returns what stands between two pieces of `line`.
    private static func text(after start: String, upTo end: Character, in line: some StringProtocol) -> String? {
        var rest = Substring(line)
        while !rest.isEmpty {
            if rest.hasPrefix(start) {
                rest = rest.dropFirst(start.count)
                return rest.firstIndex(of: end).map { String(rest[..<$0]) }
            }
            rest = rest.dropFirst()
        }
        return nil
    }
}
