// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// How long it pays to look out for the end of a child.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PatienceTests {
    @Test func `long waits are not looked through, until one is short`() {
        let patience = Patience()
        #expect(patience.time == Patience.longest)
        var times: [Int64] = []
        for _ in 0..<8 {
            patience.learn(from: 1_000_000_000)
            times.append(patience.time)
        }
        #expect(times.last == 0)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 >= $1 })
        patience.learn(from: Patience.longest / 2)
        #expect(patience.time == Patience.longest)
        // It was over before anybody waited for it.
        patience.learn(from: -1)
        #expect(patience.time == Patience.longest)
    }
}
