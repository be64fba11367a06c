// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// Goes through the metrics, and has every system measure in turn.
struct Conductor {
    /// The seconds that a program may take beyond what it measures.
    private static let patience = 30.0

    /// How many rounds systems have that take long: their figures differ by more than rounds do.
    private static let roundsOfTheSlow = 2

    private let options: Options
    private let metrics: [Metric]
    private let programs: Programs

    /// Creates a conductor that does what the user asked for.
    ///
    /// - Throws: `MeasuringError` when that is nothing.
    init(_ options: Options) throws {
        self.options = options
        metrics = Registry.metrics.filter(options.includes)
        programs = try Programs()
        guard !metrics.isEmpty else { throw MeasuringError("no metric begins so; --list tells what there is") }
    }

    /// Measures and prints.
    func run() throws {
        if options.list {
            for metric in metrics { print("\(metric.name) [\(metric.unit.rawValue)]: \(metric.summary)") }
            return
        }
        if metrics.contains(where: needsBuild) {
            Console.say("building the peers")
            try programs.build()
        }
        let systems = installedSystems
        try Descendants.adopt()
        let machine = Machine()
        let start = Clock.now
        if !options.json { Console.say("measuring; the table comes at the end") }
        var figures: [Figure] = []
        for metric in metrics {
            let new = measure(metric, systems)
            if options.json { for figure in new { print(figure.json) } }
            figures += new
        }
        let line = machine.line + ", after \((Double(Clock.now - start) / 1e9).fixed(0)) s"
        guard !options.json else { return Console.say(line) }
        print(line + "\n")
        print(options.markdown ? ReadmeTable(figures).description : Table(figures).description)
    }

    /// Returns the figures of all systems for one metric.
    private func measure(_ metric: Metric, _ installed: [System]) -> [Figure] {
        var systems = systems(for: metric).filter(installed.contains)
        var rounds: [System: [[Double]]] = [:]
        for round in 0..<options.rounds(for: metric) {
            for system in systems where round < Self.roundsOfTheSlow || !system.isSlow {
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
        let output: String
        do {
            output = try program.run(timeout: options.seconds + Self.patience)
        } catch {
            Descendants.end(atOnce: true)
            throw error
        }
        Descendants.end()
        for line in output.split(separator: "\n") {
            guard let measurement = Measurement(line: line), measurement.metric == metric.name else { continue }
            guard measurement.unit == metric.unit.base, !measurement.samples.isEmpty else {
                throw MeasuringError("samples in \(metric.unit.base) were expected, not: \(line.prefix(120))")
            }
            return measurement.samples
        }
        throw MeasuringError("it printed no measurement")
    }

    /// The systems that were asked for, can do any of the work, and are there.
    private var installedSystems: [System] {
        options.systems.filter { system in
            guard metrics.contains(where: { systems(for: $0).contains(system) }) else { return false }
            let isThere = programs.isInstalled(system)
            if !isThere { Console.say("\(system.rawValue) is left out: \(system.requirement)") }
            return isThere
        }
    }

    /// The systems that were asked for and can do the work.
    private func systems(for metric: Metric) -> [System] {
        ([.subject] + metric.peers).filter(options.systems.contains)
    }

    private func needsBuild(_ metric: Metric) -> Bool {
        systems(for: metric).contains { system in
            system == .limits || system == .foundation || system == .boost || (system == .subject && metric.work == nil)
        }
    }
}
