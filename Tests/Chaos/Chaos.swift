// SPDX-License-Identifier: Apache-2.0
//
// Uses everything at once while random processes are killed, stopped and starved, and checks what must hold all the same.
//
// The program plays rounds. Each is a process of its own (this program again), which has actors, pools and a manager work on the same shared things for a second or so, with a reaper among them, and then looks whether what is
// there can have come about by right. Some rounds are killed in the middle. After each, no process may be left. (Nothing of a round has a name.)
//
//     Chaos ── round ──┬─ fork server ── actors, workers, manager
//       │              ├─ reaper (a thread): kills, stops, lets go on
//       └ remnants     └─ scenes (threads): pools, pipes, managers

import Glibc

/// The program.
@main
enum Chaos {
    static func main() {
        if let round = StageManager.roundToPlay() { exit(StageManager(round).play()) }
        guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
            print(Options.usage)
            exit(2)
        }
        exit(run(options))
    }

    /// Plays rounds until the time is over or one fails. Returns the exit code.
    private static func run(_ options: Options) -> Int32 {
        print("seed \(options.seed)")
        fflush(nil)
        let end = ContinuousClock.now + .seconds(options.seconds)
        var figures = Figures()
        var number = options.round ?? 0
        var isPlayed = false
        repeat {
            let round = Round(seed: options.seed, number: number)
            switch round.run() {
            case .passed(let more):
                figures.add(more)
                // A round that was killed tells nothing; one at least is played to its end.
                isPlayed = isPlayed || more.isOfWholeRound
            case .failed(let reason):
                print(reason)
                print("failed: Chaos --seed \(options.seed) --round \(number)")
                return 1
            }
            number += 1
        } while options.round == nil && (ContinuousClock.now < end || !isPlayed)
        figures.add(Figures(["rounds": options.round == nil ? number : 1]))
        print(figures.table)
        return 0
    }
}

/// What was counted.
struct Figures {
    private var values: [String: Int] = [:]

    init(_ values: [String: Int] = [:]) {
        self.values = values
    }

    /// Reads lines as `lines` writes them; others are of no interest.
    init(lines: some Sequence<Substring>) {
        for line in lines {
            let parts = line.split(separator: "=")
            if parts.count == 2, parts[0].hasPrefix("figure "), let value = Int(parts[1]) {
                values[String(parts[0].dropFirst(7))] = value
            }
        }
    }

    mutating func add(_ other: Figures) {
        values.merge(other.values, uniquingKeysWith: +)
    }

    /// Whether they are of a round that nobody killed.
    var isOfWholeRound: Bool { values["rounds killed"] == nil }

    /// For another process to read.
    var lines: String { values.map { "figure \($0.key)=\($0.value)\n" }.joined() }

    /// For people to read.
    var table: String {
        values.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "\n")
    }
}
