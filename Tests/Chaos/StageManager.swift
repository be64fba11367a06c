// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Plays a round, in a process of its own.
struct StageManager {
    /// Which round, as the environment says.
    struct Part {
        let seed: UInt64
        let number: Int
        let duration: Duration
    }

    private let part: Part

    /// The round that this process is to play; nil in the process that has rounds played.
    static func roundToPlay() -> Part? {
        guard let text = getenv("CHAOS_PART") else { return nil }
        let numbers = String(cString: text).split(separator: " ").compactMap { UInt64($0) }
        guard numbers.count == 3 else { return nil }
        return Part(seed: numbers[0], number: Int(numbers[1]), duration: .milliseconds(Int(numbers[2])))
    }

    init(_ part: Part) {
        self.part = part
    }

    /// Plays it, prints figures or what must not be, and returns the exit code.
    func play() -> Int32 {
        do {
            try warmUp()
            let before = Belongings.current
            let figures = try perform()
            try Belongings.waitUntil(notMoreThan: before)
            print(figures.lines, terminator: "")
            return 0
        } catch {
            print("violation: \(error)")
            return 1
        }
    }

    /// Has what is made once and kept: the fork server, the reactor's thread, the lifeline of daemons.
    private func warmUp() throws {
        try ForkServer.setSpares(0)
        for method in [StartMethod.forkServer, .fork, .spawn] {
            let first = ChildProcess(daemon: true, startMethod: method) {}
            try first.start()
            try first.join()
            try first.close()
        }
        _ = try ChildProcess.run { 1 }
    }

    private func perform() throws -> Figures {
        var random = Seeded(seed: part.seed, part: part.number &* 1000 &+ 1)
        let stage = try Stage()
        let cast = makeCast(stage, random)
        let (pools, managers, pipes) = (try PoolScene(), ManagerScene(), PipeScene())
        let (queues, threads, networks) = (QueueScene(), ThreadScene(), NetworkScene())
        let scenes = Scenes()
        try scenes.start(stage) { try pools.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 2)) }
        try scenes.start(stage) { try managers.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 3)) }
        try scenes.start(stage) { try pipes.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 4)) }
        try scenes.start(stage) { try queues.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 5)) }
        try scenes.start(stage) { try threads.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 6)) }
        try scenes.start(stage) { try networks.play(stage, Seeded(seed: part.seed, part: part.number &* 1000 &+ 7)) }
        let reaper = try Reaper(
            random,
            [
                Reaper.Prey(name: "actors", weight: 12) { cast.processes },
                Reaper.Prey(name: "workers", weight: 6) { pools.processes },
                Reaper.Prey(name: "senders", weight: 2) { pipes.processes },
                Reaper.Prey(name: "senders to sockets", weight: 2) { networks.processes },
                Reaper.Prey(name: "workers of queues", weight: 2) { queues.processes },
                Reaper.Prey(name: "managers", weight: 1) { managers.processes },
                Reaper.Prey(name: "fork servers", weight: 1, pause: .milliseconds(400)) {
                    ForkServer.processIdentifier.map { [$0] } ?? []
                },
            ]
        )
        let end = ContinuousClock.now + part.duration
        do {
            while ContinuousClock.now < end, !stage.hasEnded {
                try cast.fill(&random)
                usleep(1000)
            }
        } catch {
            stage.isOver.store(1)
            reaper.stop()
            throw error
        }
        reaper.stop()
        stage.isOver.store(1)
        try cast.end()
        try scenes.end()
        try pools.end()
        try managers.end()
        let messages = try Verdict(stage, cast).judge()
        var figures = Figures([
            "messages": messages, "ledger entries": stage.entries.load(), "waits": stage.waits.load(),
            "locks of dead owners": stage.deathsSeen.load(),
        ])
        for more in [
            cast.figures, reaper.figures, pools.figures, managers.figures, pipes.figures, queues.figures,
            threads.figures, networks.figures,
        ] { figures.add(more) }
        return figures
    }

    private func makeCast(_ stage: Stage, _ random: Seeded) -> Cast {
        let number = Atomic<Int>(0)
        /// Numbers for the next actor.
        let next: @Sendable () -> Seeded = { [part] in
            Seeded(seed: part.seed, part: part.number &* 1000 &+ 10 &+ number.add(1, ordering: .relaxed).newValue)
        }
        var roles: [Cast.Role] = []
        for _ in 0..<3 {
            roles.append(
                Cast.Role(name: "clerk") { method in
                    ChildProcess(target: clerk, arguments: stage, next(), daemon: true, startMethod: method)
                }
            )
        }
        for index in 0..<Stage.producers {
            roles.append(
                Cast.Role(name: "producer") { method in
                    ChildProcess(target: producer, arguments: stage, next(), index, daemon: true, startMethod: method)
                }
            )
            roles.append(
                Cast.Role(name: "consumer") { method in
                    ChildProcess(target: consumer, arguments: stage, next(), daemon: true, startMethod: method)
                }
            )
        }
        for _ in 0..<2 {
            roles.append(
                Cast.Role(name: "waiter") { method in
                    ChildProcess(target: waiter, arguments: stage, next(), daemon: true, startMethod: method)
                }
            )
        }
        roles.append(
            Cast.Role(name: "starveling") { method in
                ChildProcess(target: starveling, arguments: stage, next(), daemon: true, startMethod: method)
            }
        )
        return Cast(roles)
    }
}

/// What goes on besides the actors, each on a thread of its own.
final class Scenes: Sendable {
    private let threads = Mutex<[Thread]>([])
    private let failure = Mutex<(any Error)?>(nil)

    /// Starts one; what it throws ends the round.
    func start(_ stage: Stage, _ body: @escaping @Sendable () throws -> Void) throws {
        let thread = Thread()
        try thread.start { [self] in
            do {
                try body()
            } catch {
                failure.withLock { $0 = $0 ?? error }
                stage.isOver.store(1)
            }
        }
        threads.withLock { $0.append(thread) }
    }

    /// Waits for their end.
    func end() throws {
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }
}
