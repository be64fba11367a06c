// SPDX-License-Identifier: Apache-2.0

import Measuring
import Testing

@testable import Benchmarks

/// Samples to figures, and figures to text.
@Suite struct StatisticsTests {
    private func metric(_ kind: Metric.Kind, _ unit: Unit = .nanoseconds) -> Metric {
        Metric("a.metric", "nothing", unit: unit, kind: kind, peers: [], work: nil)
    }

    private func values(_ kind: Metric.Kind, _ rounds: [[Double]], _ unit: Unit = .nanoseconds) -> [Double] {
        Statistics.figures(of: metric(kind, unit), system: .subject, rounds: rounds).map(\.value)
    }

    @Test func `the median is the middle, or the mean of the two in the middle`() {
        #expect(Statistics.median([3, 1, 2]) == 2)
        #expect(Statistics.median([4, 1, 3, 2]) == 2.5)
        #expect(Statistics.median([7]) == 7)
    }

    @Test func `the 99th percentile is the sample that ninety-nine of a hundred are not above`() {
        #expect(Statistics.percentile(99, of: (1...100).map(Double.init)) == 99)
        #expect(Statistics.percentile(99, of: (1...1000).map(Double.init).reversed()) == 990)
        #expect(Statistics.percentile(99, of: [5]) == 5)
    }

    @Test func `single operations give the median of all rounds, and the slowest only of a hundred samples`() {
        #expect(values(.operation, [[1, 2], [9]]) == [2])
        #expect(values(.operation, [Array(repeating: 1, count: 98), [5, 6]]) == [1, 5])
        let names = Statistics.figures(
            of: metric(.operation),
            system: .limits,
            rounds: [.init(repeating: 1, count: 100)]
        )
        .map(\.name)
        #expect(names == ["a.metric", "a.metric.p99"])
    }

    @Test func `costs give the lowest round, rates the highest, and what chance moves both ways the middle`() {
        let rounds: [[Double]] = [[3, 3, 4], [1, 2, 9], [5]]
        #expect(values(.cost, rounds) == [2])
        #expect(values(.rate, rounds, .perSecond) == [5])
        #expect(values(.typical, [[3], [1], [5]]) == [3])
    }

    @Test func `a system without samples has no figures`() {
        #expect(values(.cost, []).isEmpty)
        #expect(values(.operation, [[]]).isEmpty)
    }

    @Test func `figures are shown in the unit of the metric`() {
        #expect(values(.cost, [[2500]], .microseconds) == [2.5])
        #expect(values(.typical, [[2048]], .kibibytes) == [2])
    }

    @Test(arguments: [
        (0.0123, "0.012"), (1.005, "1.00"), (9.999, "10.00"), (23.45, "23.5"), (123.4, "123"), (61_429, "61429"),
        (0, "0.000"),
    ])
    func `numbers are written with the digits that count`(_ value: Double, _ text: String) {
        #expect(value.threeDigits == text)
    }

    @Test func `a ratio above one always means that this package is better`() {
        func figures(_ unit: Unit) -> [Figure] {
            [
                Figure(system: .subject, name: "m", value: 10, unit: unit),
                Figure(system: .cpython, name: "m", value: 40, unit: unit),
            ]
        }
        #expect("\(Table(figures(.nanoseconds)))".contains("40.0 (4.00×)"))
        #expect("\(Table(figures(.perSecond)))".contains("40.0 (0.25×)"))
    }

    @Test func `README's table has a line for each metric that was measured, in units that suit them`() {
        func figure(_ system: System, _ name: String, _ value: Double, _ unit: Unit) -> Figure {
            Figure(system: system, name: name, value: value, unit: unit)
        }
        let table = ReadmeTable([
            figure(.subject, "crash.detect", 500, .microseconds),
            figure(.pebble, "crash.detect", 100_000, .microseconds),
            figure(.limits, "crash.detect", 80, .microseconds),
            figure(.subject, "queue.rate.8", 5e6, .perSecond),
            figure(.cpython, "queue.rate.8", 200_000, .perSecond),
            figure(.fasterFIFO, "queue.rate.8", 100_000, .perSecond),
            figure(.boost, "queue.rate.8", 2.5e6, .perSecond),
        ])
        let lines = "\(table)".split(separator: "\n").dropFirst(2)
        #expect(
            lines == [
                "| queue, `Int`s | 5.0 M/s | 200 k/s (25.0×) | boost 2.5 M/s (2.00×) |  |",
                "| SIGKILL of a worker, to the error | 500 µs | never | pebble 100 ms (200×) | 80 µs |",
            ]
        )
    }

    @Test func `every line of README's table is of a metric that there is`() {
        #expect(Registry.metrics.count { ReadmeTable.includes($0) } == ReadmeTable.count)
    }
}
