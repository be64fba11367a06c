// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// Goes through the metrics, and has every system measure in turn.
struct Conductor {
    /// The seconds that a program may take beyond what it measures.
    private static let patience = 30.0

    private let options: Options
    private let programs: Programs
    /// The systems that were asked for and are there.
    private let systems: [System]

    /// Creates a conductor that does what the user asked for.
    init(_ options: Options) throws {
        self.options = options
        let programs = try Programs()
        self.programs = programs
        systems =
            options.list
            ? []
            : options.systems.filter { system in
                let isThere = programs.isInstalled(system)
                if !isThere {
                    Console.say("\(system.rawValue) is left out: python3 has no module \(system.pythonModule ?? "")")
                }
                return isThere
            }
    }

    /// Measures and prints.
    func run() throws {
        let metrics = Registry.metrics.filter(options.includes)
        guard !metrics.isEmpty else { throw MeasuringError("no metric begins so; --list tells what there is") }
        if options.list {
            for metric in metrics { print("\(metric.name) [\(metric.unit.rawValue)]: \(metric.summary)") }
            return
        }
        if metrics.contains(where: needsBuild) {
            Console.say("building the peers")
            try programs.build()
        }
        let machine = Machine()
        if !options.json { print("measuring; the table comes at the end") }
        var figures: [Figure] = []
        for metric in metrics {
            let new = measure(metric)
            if options.json { for figure in new { print(figure.json) } }
            figures += new
        }
        guard !options.json else { return Console.say(machine.line) }
        print("\(machine.line)\n\n\(Table(figures))")
    }

    /// Returns the figures of all systems for one metric.
    private func measure(_ metric: Metric) -> [Figure] {
        var systems = systems(for: metric)
        var rounds: [System: [[Double]]] = [:]
        for _ in 0..<options.rounds(for: metric) {
            for system in systems {
                do {
                    rounds[system, default: []].append(try turn(metric, system))
                } catch {
                    Console.say("\(metric.name): \(system.rawValue) is left out: \(error)")
                    systems.removeAll { $0 == system }
                    rounds[system] = nil
                }
            }
        }
        let figures = System.allCases.flatMap { system in
            Statistics.figures(of: metric, system: system, rounds: rounds[system] ?? [])
        }
        let summary = figures.filter { $0.name == metric.name }
            .map { "\($0.system.rawValue) \($0.value.threeDigits)" }
        Console.say("\(metric.name) [\(metric.unit.rawValue)]: \(summary.joined(separator: ", "))")
        return figures
    }

    /// Has one system measure once.
    private func turn(_ metric: Metric, _ system: System) throws -> [Double] {
        let program = programs.program(for: metric, of: system, seconds: options.seconds)
        let output = try program.run(timeout: options.seconds + Self.patience)
        for line in output.split(separator: "\n") {
            guard let measurement = Measurement(line: line), measurement.metric == metric.name else { continue }
            guard measurement.unit == metric.unit.base, !measurement.samples.isEmpty else {
                throw MeasuringError("samples in \(metric.unit.base) were expected, not: \(line.prefix(120))")
            }
            return measurement.samples
        }
        throw MeasuringError("it printed no measurement")
    }

    private func systems(for metric: Metric) -> [System] {
        ([.subject] + metric.peers).filter(systems.contains)
    }

    private func needsBuild(_ metric: Metric) -> Bool {
        systems(for: metric).contains { $0 == .limits || $0 == .foundation || ($0 == .subject && metric.work == nil) }
    }
}
