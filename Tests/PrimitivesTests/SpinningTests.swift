// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import CMultiprocessing
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    /// How long threads watch before they sleep.
    @Suite(.timeLimit(.minutes(30))) struct SpinningTests {
        @Test func `with one processor nobody watches`() async throws {
            try await Laboratory.run {
                try require(laboratory_use_one_processor() == 0, "no processor")
                // How many there are is asked now and then.
                for _ in 0..<64 { _ = Spinning.allowance() }
                for _ in 0..<1000 { try require(Spinning.allowance() == 0, "somebody watches") }
                var looks = 0
                let isOver = Spinning.wait {
                    looks += 1
                    return false
                }
                try require(!isOver && looks == 1, "\(looks) looks")
            }
        }

        @Test func `watching in vain comes down to almost nothing, and what is worth it is watched for long again`()
            async throws
        {
            try await Laboratory.run {
                guard mp_affinity_count() > 1 else { return }
                func allowances(_ count: Int, success: Bool) -> [Int] {
                    (0..<count).map { _ in
                        let allowance = Spinning.allowance()
                        Spinning.learn(allowance, success: success)
                        return Int(allowance)
                    }
                }
                // As long as a wait may be watched at the start.
                _ = allowances(40, success: true)
                _ = allowances(1000, success: false)
                let idle = allowances(640, success: false)
                // A microsecond's looks; and one probe in 64 waits, of 120 times that.
                let least = idle.min() ?? 0
                let mean = Double(idle.reduce(0, +)) / 640
                try require(least > 0 && mean <= 3.2 * Double(least), "\(mean) looks a wait, \(least) at least")
                _ = allowances(40, success: true)
                try require(allowances(1, success: true)[0] >= 40 * least, "what is worth it is not watched for")
            }
        }
    }
}
