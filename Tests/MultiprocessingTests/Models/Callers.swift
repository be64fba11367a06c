// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing

/// A primitive with what is needed to use it at random; sent to every process that takes part.
protocol Subject: Codable, Sendable {
    /// Whether tasks take part, beside threads.
    static var hasTasks: Bool { get }

    /// Makes the calls of one thread.
    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws

    /// Makes the calls of one task.
    func use(by caller: Int, _ generator: inout Seeded) async throws
}

extension Subject {
    /// The processes that take part, and the threads of each.
    private static var processes: Int { 3 }
    private static var threads: Int { 2 }
    private static var callersPerProcess: Int { threads + (hasTasks ? 1 : 0) }

    /// How many take part in all.
    static var callers: Int { processes * callersPerProcess }

    /// Lets every caller make its calls, and waits for all; each has random numbers of its own that are the same for the same seed.
    func useEverywhere(seed: UInt64) throws {
        let children = (0..<Self.processes).map { process in
            ChildProcess {
                let first = process * Self.callersPerProcess
                let ends = try (first..<first + Self.threads).map { caller in
                    try onThreadAsync {
                        var generator = Seeded(seed: seed << 16 + UInt64(caller))
                        try use(by: caller, &generator)
                    }
                }
                if Self.hasTasks {
                    var generator = Seeded(seed: seed << 16 + UInt64(first + Self.threads))
                    try await use(by: first + Self.threads, &generator)
                }
                for end in ends { try end.get() }
            }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        try check(children.allSatisfy { $0.exitCode == 0 }, "a caller failed: \(children)")
    }
}

extension Seeded {
    /// True once in `times` on average.
    mutating func once(in times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }

    /// A short timeout: often none at all, sometimes a negative one.
    mutating func shortTimeout() -> Duration { .microseconds(max(-5, Int.random(in: -200..<300, using: &self))) }

    /// Takes a short time, at the end of which another thread may get its turn.
    mutating func dawdle() {
        for _ in 0..<Int.random(in: 0..<400, using: &self) { mp_pause() }
        if once(in: 20) { sched_yield() }
    }
}
