// SPDX-License-Identifier: Apache-2.0

/// The one place where samples become figures.
enum Statistics {
    /// Fewer samples say nothing about the slowest of a hundred.
    private static let minimumForPercentile = 100

    /// Returns the figures of one system: one, or two where the slowest are told as well.
    ///
    /// - Parameter rounds: The samples of each round, in base units.
    static func figures(of metric: Metric, system: System, rounds: [[Double]]) -> [Figure] {
        let rounds = rounds.filter { !$0.isEmpty }
        guard !rounds.isEmpty else { return [] }
        func figure(_ suffix: String, _ value: Double) -> Figure {
            Figure(system: system, name: metric.name + suffix, value: value / metric.unit.factor, unit: metric.unit)
        }
        let all = rounds.flatMap(\.self)
        switch metric.kind {
        case .operation where all.count >= minimumForPercentile:
            return [figure("", median(all)), figure(".p99", percentile(99, of: all))]
        case .operation, .typical: return [figure("", median(all))]
        case .cost: return [figure("", rounds.map(median).min() ?? 0)]
        case .rate: return [figure("", rounds.map(median).max() ?? 0)]
        }
    }

    /// Returns the middle sample, or the mean of the two in the middle.
    static func median(_ samples: [Double]) -> Double {
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// Returns the sample that so many of a hundred are not above (nearest rank).
    static func percentile(_ percent: Int, of samples: [Double]) -> Double {
        let sorted = samples.sorted()
        let rank = (sorted.count * percent + 99) / 100
        return sorted[max(0, min(sorted.count - 1, rank - 1))]
    }
}
