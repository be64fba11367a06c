// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Kills random processes of the round, and stops others for a while.
final class Reaper: Sendable {
    /// Which processes there are to choose from, by what they are.
    struct Prey: Sendable {
        let name: String
        /// One of so many moments is for these.
        let weight: Int
        /// The shortest time between two of them; a server that is ended faster than it can begin gives up, and may.
        var pause = Duration.zero
        let processes: @Sendable () -> [pid_t]
    }

    private struct Work {
        var random: Seeded
        var kills: [String: Int] = [:]
        var pauses = 0
        var lastStrikes: [String: ContinuousClock.Instant] = [:]
        var stopped: [(process: pid_t, until: ContinuousClock.Instant)] = []
    }

    private let prey: [Prey]
    private let mark = getenv(Round.variable).map { "\(Round.variable)=\(String(cString: $0))" } ?? ""
    private let work: Mutex<Work>
    private let isStopping = Atomic<Bool>(false)
    private let thread: Thread

    init(_ random: Seeded, _ prey: [Prey]) throws {
        self.prey = prey
        work = Mutex(Work(random: random))
        thread = Thread()
        try thread.start { [self] in run() }
    }

    private func run() {
        while !isStopping.load(ordering: .relaxed) {
            let pause = work.withLock { UInt32.random(in: 0...6000, using: &$0.random) }
            // Not to wait for anything: the moments are to be random.
            usleep(pause)
            strike()
        }
        work.withLock { work in
            for (process, _) in work.stopped { kill(process, SIGCONT) }
            work.stopped = []
        }
    }

    private func strike() {
        let (kind, isKill) = work.withLock { work in
            let now = ContinuousClock.now
            for (process, until) in work.stopped where until < now { kill(process, SIGCONT) }
            work.stopped.removeAll { $0.until < now }
            let all = prey.flatMap { [Prey](repeating: $0, count: $0.weight) }
            return (all.randomElement(using: &work.random), !work.random.once(in: 4))
        }
        // Outside of the lock, since it may ask a pool.
        let processes = kind?.processes() ?? []
        work.withLock { work in
            guard let kind, let process = processes.randomElement(using: &work.random), isOurs(process) else { return }
            let now = ContinuousClock.now
            if let last = work.lastStrikes[kind.name], now - last < kind.pause { return }
            work.lastStrikes[kind.name] = now
            if isKill {
                if kill(process, SIGKILL) == 0 { work.kills[kind.name, default: 0] += 1 }
            } else if kill(process, SIGSTOP) == 0 {
                let length = Duration.milliseconds(Int.random(in: 1...60, using: &work.random))
                work.stopped.append((process, .now + length))
                work.pauses += 1
            }
        }
    }

    /// Whether a process belongs to this round and is not the one that looks after it. What was a worker a moment ago may be somebody else's process by now.
    private func isOurs(_ process: pid_t) -> Bool {
        process > 1 && process != getpid() && Remnants.hasMark(process, mark)
    }

    /// Ends the killing, and lets everybody go on who was stopped.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        thread.join()
    }

    /// How many were killed of what.
    func kills(of name: String) -> Int { work.withLock { $0.kills[name, default: 0] } }

    /// What was done.
    var figures: Figures {
        work.withLock { work in
            var values = ["stops": work.pauses]
            for (name, count) in work.kills { values["kills of \(name)"] = count }
            return Figures(values)
        }
    }
}

/// A thread that is waited for.
final class Thread: Sendable {
    private let identity = Mutex<pthread_t?>(nil)

    /// Starts it, once.
    func start(_ body: @escaping @Sendable () -> Void) throws {
        let box = Unmanaged.passRetained(Box(body))
        var identity = pthread_t()
        let code = pthread_create(
            &identity,
            nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            },
            box.toOpaque()
        )
        guard code == 0 else {
            box.release()
            throw Violation("a thread cannot be started: \(String(cString: strerror(code)))")
        }
        self.identity.withLock { $0 = identity }
    }

    /// Waits for its end.
    func join() {
        if let identity = identity.withLock({ $0.take() }) { pthread_join(identity, nil) }
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
