// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// A pool that is there to the end of the program.
private let lasting = (try? Pool(processes: 2)) ?? { fatalError("no pool") }()

/// Shows progress on the terminal; at the fortieth of a hundred items a call may fail.
func showProgress(fails: Bool) throws {
    let numbers = try? lasting.map(0..<100, chunkSize: 1, progress: .terminal("hashing")) { n -> Int in
        usleep(20_000)
        if fails, n == 40 { throw Refused() }
        return n
    }
    tell(numbers == nil ? "failed" : "done")
}

/// What a call throws.
private struct Refused: Error, Codable {}

/// Whether somebody has pressed Ctrl-C.
private let isInterrupted = Atomic<Bool>(false)

/// Handles Ctrl-C itself: waits for what is under way, goes on, and ends the pool in order.
func handleInterrupt() throws {
    isInterrupted.store(false, ordering: .relaxed)
    signal(SIGINT) { _ in isInterrupted.store(true, ordering: .relaxed) }
    let pool = try Pool(processes: 2)
    let (begun, gate) = (try Barrier(parties: 3), try Event())
    let pending = try (0..<40).map { n in
        try pool.applyAsync(
            { (n: Int, begun: Barrier, gate: Event) -> Int in
                if n < 2 { _ = try begun.wait() }
                _ = try gate.wait()
                return n
            },
            n,
            begun,
            gate
        )
    }
    _ = try begun.wait()
    for worker in pool.statistics.workers { tell("worker \(worker.processIdentifier ?? 0)") }
    tell("ready")
    while !isInterrupted.load(ordering: .relaxed) { usleep(1000) }
    gate.set()
    let done = try pending.map { try $0.get() }.count
    let squares = try pool.map(0..<10) { $0 * $0 }.reduce(0, +)
    tell("interrupted, \(done) done, squares \(squares)")
    for worker in pool.statistics.workers { tell("worker \(worker.processIdentifier ?? 0)") }
    pool.close()
    try pool.join()
    tell("joined")
}

/// Programs that end, one way or the other, while a pool is at work.
func runPools(_ way: String) throws {
    if way == "handles-interrupt" { return try handleInterrupt() }
    let pool = way == "dropped" ? try Pool(processes: 2) : lasting
    let begun = try Event()
    let pending = try (0..<1000).map { n in
        try pool.applyAsync(
            { (n: Int, begun: Event) -> Int in
                if n == 0 || n == 1 {
                    if n == 1 { begun.set() }
                    while true { pause() }
                }
                return n
            },
            n,
            begun
        )
    }
    _ = try begun.wait()
    for worker in pool.statistics.workers { tell("worker \(worker.processIdentifier ?? 0)") }
    tell("ready")
    switch way {
    case "waiting": print(try pending[0].get())
    case "exit": exit(7)
    case "async-exit":
        Task { exit(7) }
        sleepForever()
    case "trap": fatalError("the end of the program")
    default: break
    }
    tell("main done")
}
