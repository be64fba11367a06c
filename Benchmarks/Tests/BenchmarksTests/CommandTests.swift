// SPDX-License-Identifier: Apache-2.0

import Glibc
import Measuring
import Testing

@testable import Benchmarks

/// What programs are told and what they answer.
@Suite(.serialized) struct CommandTests {
    @Test func `a measurement reads back from its line`() throws {
        let measurement = Measurement("start.cold", unit: "ns", [1, 2.5, 1e9])
        #expect(Measurement(line: measurement.line) == measurement)
        // As Python writes it.
        let other = #"{"metric": "a.b", "unit": "B", "samples": [8384353.0, 12]}"#
        #expect(Measurement(line: other) == Measurement("a.b", unit: "B", [8_384_353, 12]))
    }

    @Test(arguments: [
        "", "hello", #"{"metric": "a", "unit": "ns"}"#, #"{"metric": "a", "unit": "ns", "samples": [x]}"#,
    ])
    func `other lines are no measurements`(_ line: String) {
        #expect(Measurement(line: line) == nil)
    }

    @Test func `the command line is understood, and nonsense in it refused`() throws {
        let options = try Options(arguments: ["--json", "--only", "start.", "--systems", "self,limits", "--quick"])
        #expect(options.json && options.quick && !options.list)
        #expect(options.systems == [.subject, .limits])
        #expect(Registry.metrics.filter(options.includes).allSatisfy { $0.name.hasPrefix("start.") })
        for wrong in [["--only"], ["--systems", "perl"], ["start"]] {
            #expect(throws: MeasuringError.self) { try Options(arguments: wrong) }
        }
    }

    @Test func `hidden arguments make the program measure`() throws {
        let role = try Role(arguments: ["--measure", "lock.uncontended", "0.5"])
        #expect(role == .measure("lock.uncontended", budget: 500_000_000, .subject))
        let other = try Role(arguments: ["--measure", "array.read", "0.5", "pointer"])
        #expect(other == .measure("array.read", budget: 500_000_000, .pointer))
        #expect(try Role(arguments: ["--nothing"]) == .nothing)
        #expect(throws: MeasuringError.self) { try Role(arguments: ["--measure", "lock.uncontended"]) }
    }

    @Test func `every metric has a name of its own`() {
        #expect(Set(Registry.metrics.map(\.name)).count == Registry.metrics.count)
    }

    @Test func `a program's output and its failures come back`() throws {
        #expect(try Program(executable: "echo", arguments: ["two words"]).run(timeout: 10) == "two words\n")
        #expect(throws: MeasuringError.self) { try Program(executable: "false", arguments: []).run(timeout: 10) }
        #expect(throws: MeasuringError.self) {
            try Program(executable: "no-such-program", arguments: []).run(timeout: 10)
        }
        #expect(throws: MeasuringError.self) { try Program(executable: "sleep", arguments: ["60"]).run(timeout: 0.1) }
    }

    @Test func `a program that leaves its output open to others is not waited for`() throws {
        let program = Program(executable: "sh", arguments: ["-c", "sleep 60 & echo $!"])
        let output = try program.run(timeout: 30)
        let pid = try #require(pid_t(output.dropLast()))
        #expect(kill(pid, SIGKILL) == 0)
    }

    @Test func `what a program leaves behind is ended, also in a session of its own`() throws {
        try Descendants.adopt()
        // The shell ends at once, and leaves a process that would live for an hour.
        let code = "setsid sleep 3600 >/dev/null & echo $!"
        let output = try Program(executable: "sh", arguments: ["-c", code]).run(timeout: 10)
        let pid = try #require(pid_t(output.dropLast()))
        #expect(kill(pid, 0) == 0)
        Descendants.end(atOnce: true)
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }
}
