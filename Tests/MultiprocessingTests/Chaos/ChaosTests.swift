// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ChaosTests {
    /// The short form of what `swift run -c release Chaos --seconds 600` does at length. What fails is told with the seed that it can be tried again with.
    @Test(arguments: [UInt64.random(in: 0..<1_000_000)])
    func `everything at once goes on while random processes are killed`(seed: UInt64) throws {
        let run = try Fixture("--seconds", "8", "--seed", "\(seed)", path: Fixture.program("Chaos"))
        let (status, output, errors) = run.finish()
        #expect(status == 0, "\(output.joined(separator: "\n"))\n\(errors)")
        // Nothing would be shown where nothing is done, killed or stopped.
        for figure in ["rounds", "kills of actors", "stops", "answers", "ledger entries"] {
            #expect(output.contains { $0.hasPrefix("\(figure): ") && !$0.hasSuffix(": 0") }, "no \(figure): \(output)")
        }
    }
}
