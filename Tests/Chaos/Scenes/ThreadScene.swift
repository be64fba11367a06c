// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Has threads of the round's own process do what workers do: nobody kills them, but what is killed around them must not reach them.
final class ThreadScene: Sendable {
    private let tasks = Atomic<Int>(0)

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        while !stage.hasEnded {
            let pool = try ThreadPool(threads: 2)
            for _ in 0..<20 where !stage.hasEnded {
                let count = Int.random(in: 0...200, using: &random)
                let squares = try pool.map(0..<count) { $0 * $0 }
                try check(squares == (0..<count).map { $0 * $0 }, "a map of \(count) on threads is wrong")
                // A child from a thread of a pool.
                let call = try pool.applyAsync { try? ChildProcess.run(timeout: .seconds(60)) { count } }
                let result = try call.get(timeout: .seconds(90))
                try check(result == nil || result == count, "\(count) is \(String(describing: result))")
                tasks.add(count + 1, ordering: .relaxed)
            }
            pool.close()
            try pool.join()
        }
    }

    var figures: Figures { Figures(["tasks of threads": tasks.load(ordering: .relaxed)]) }
}
