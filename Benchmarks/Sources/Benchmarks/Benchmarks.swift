// SPDX-License-Identifier: Apache-2.0
//
// The program has two roles. Run by a user it is the conductor: it goes through the metrics and has the programs of all systems measure in turn, each in a process of its
// own, so that one metric leaves nothing behind for the next and a hang costs one figure. Run by itself, with a hidden argument, it measures this package.

internal import Glibc
internal import Measuring

/// The command that runs this package and its peers on the same work.
@main
enum Benchmarks {
    /// Takes one of the two roles.
    static func main() {
        let firstStatement = Clock.now
        do {
            switch try Role(arguments: Array(CommandLine.arguments.dropFirst())) {
            case .conduct(let options): try Conductor(options).run()
            case .measure(let name, let budget, let system): try measure(name, system, budget, firstStatement)
            case .family: try Family.live()
            case .nothing: break
            case .help: print(Options.usage)
            }
        } catch {
            Console.say("Benchmarks: \(error)")
            exit(1)
        }
    }

    /// Measures this package, or its peer in Swift, in this process, and prints the measurement.
    private static func measure(
        _ name: String,
        _ system: System,
        _ budget: Int64,
        _ firstStatement: Int64
    ) throws {
        guard let metric = Registry.metrics.first(where: { $0.name == name }),
            let work = system == .subject ? metric.work : metric.others[system]
        else {
            throw MeasuringError("there is no metric \(name) to measure here")
        }
        let samples = try work(WorkContext(sampling: Sampling(budget: budget), firstStatement: firstStatement))
        print(Measurement(name, unit: metric.unit.base, samples).line)
    }
}

/// What a process of this program is for.
enum Role: Equatable {
    /// To have all systems measured, and to print the figures.
    case conduct(Options)
    /// To measure one metric of this package, or of a peer that this program has itself, for so many nanoseconds.
    case measure(String, budget: Int64, System)
    /// To have children, and to wait until it is killed.
    case family
    /// To end at once: what the C limits start where a Swift program has to be started.
    case nothing
    /// To say what it can be told.
    case help

    /// Reads the command line.
    ///
    /// - Throws: `MeasuringError` for an argument that means nothing.
    init(arguments: [String]) throws {
        switch arguments.first {
        case "--measure":
            guard arguments.count == 3 || arguments.count == 4, let seconds = Double(arguments[2]) else {
                throw MeasuringError("--measure takes a metric, a number of seconds, and perhaps a system")
            }
            let system = try arguments.count == 4 ? System(option: arguments[3]) : .subject
            self = .measure(arguments[1], budget: Int64(seconds * 1e9), system)
        case "--family": self = .family
        case "--nothing": self = .nothing
        case "--help", "-h": self = .help
        default: self = .conduct(try Options(arguments: arguments))
        }
    }
}
