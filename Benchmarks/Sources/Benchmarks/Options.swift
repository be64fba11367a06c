// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// What the user asked for.
struct Options: Equatable, Sendable {
    /// What `--help` prints.
    static let usage = """
        Usage: Benchmarks [--json | --markdown] [--only PREFIX] [--systems self,cpython,loky,…] [--quick] [--list]

          --json      one line of JSON for each figure instead of a table
          --markdown  the lines of README's table, and only what they need
          --only      only metrics whose names begin so; may be given several times
          --systems   only these systems
          --quick     one short round, of this package and the peers that come with it unless others are named:
                      some seconds in all, and figures that say little
          --list      what there is to measure
        """

    /// Whether to print lines of JSON.
    var json = false
    /// Whether to print README's table.
    var markdown = false
    /// The beginnings of names of metrics; all metrics if empty.
    var prefixes: [String] = []
    /// The systems that were named; nil: those that there is time for.
    private var named: [System]?
    /// The systems to measure.
    var systems: [System] { named ?? (quick ? System.allCases.filter(\.isAlwaysThere) : System.allCases) }
    /// Whether to be done in a few seconds.
    var quick = false
    /// Whether to say only what there is.
    var list = false

    /// Reads the command line.
    ///
    /// - Throws: `MeasuringError` for an argument that means nothing.
    init(arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--json": json = true
            case "--markdown": markdown = true
            case "--quick": quick = true
            case "--list": list = true
            case "--only": prefixes.append(try Self.value(of: argument, in: &rest))
            case "--systems":
                named = try Self.value(of: argument, in: &rest).split(separator: ",").map { try System(option: $0) }
            default: throw MeasuringError("unknown argument \(argument)\n\(Self.usage)")
            }
        }
    }

    /// Whether a metric was asked for.
    func includes(_ metric: Metric) -> Bool {
        (prefixes.isEmpty || prefixes.contains { metric.name.hasPrefix($0) })
            && (!markdown || ReadmeTable.includes(metric))
    }

    /// How often every system takes its turn at a metric.
    func rounds(for metric: Metric) -> Int {
        quick ? metric.quickRounds : metric.rounds
    }

    /// How long a turn measures.
    var seconds: Double { quick ? 0.02 : 0.3 }

    private static func value(of argument: String, in rest: inout ArraySlice<String>) throws -> String {
        guard let value = rest.popFirst() else { throw MeasuringError("\(argument) needs a value") }
        return value
    }
}
