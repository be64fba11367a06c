// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Has clients work on a value in a manager; clients are killed, and now and then the manager.
final class ManagerScene: Sendable {
    private let manager = Mutex<Manager?>(nil)
    private let calls = Atomic<Int>(0)
    private let managers = Atomic<Int>(0)

    /// The manager's pid.
    var processes: [pid_t] { manager.withLock { $0.map { [$0.processIdentifier] } ?? [] } }

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        while !stage.hasEnded {
            do {
                try playOne(stage, &random)
            } catch is ManagerLost {
                // It was killed; there will be another.
            }
            let old = manager.withLock { $0.take() }
            do { try old?.shutdown() } catch is ManagerLost {}
        }
    }

    private func playOne(_ stage: Stage, _ random: inout Seeded) throws {
        let manager: Manager
        do {
            manager = try Manager()
        } catch is ManagerLost, is ProcessLost {
            // Killed while it was being started, or its server was.
            return
        }
        self.manager.withLock { $0 = manager }
        managers.add(1, ordering: .relaxed)
        let pair = try manager.host { Pair() }
        let list = try manager.list(of: Int.self)
        let made = try SharedAtomic(0)
        let client = ChildProcess(target: Self.client, arguments: pair, list, made, stage.isOver, daemon: true)
        do { try client.start() } catch { return }
        var mine = 0
        while !stage.hasEnded, mine < 500 {
            try pair.withValue { pair in
                pair.first += 1
                pair.second += 1
            }
            mine += 1
        }
        if random.once(in: 2) { try client.kill() }
        guard try client.join(timeout: .seconds(60)) else { throw Violation("a client of a manager does not end") }
        try client.close()
        let now = try pair.withValue { $0 }
        let first = now.first
        try check(first == now.second, "half a call was made: \(now)")
        // The client's last call may have been made without its knowledge.
        let known = mine + made.load()
        try check(first == known || first == known + 1, "\(first) calls were made, and \(known) are known")
        let count = try list.count()
        try check(count <= made.load() + 1 && count >= made.load() - 1, "\(count) elements after \(made.load()) calls")
        calls.add(first, ordering: .relaxed)
    }

    /// Works on the same value, in a process of its own.
    @Sendable private static func client(
        _ pair: Managed<Pair>,
        _ list: ManagedList<Int>,
        _ made: SharedAtomic<Int>,
        _ isOver: SharedAtomic<Int>
    ) throws {
        do {
            for number in 0..<500 where isOver.load() == 0 {
                try pair.withValue { pair in
                    pair.first += 1
                    pair.second += 1
                }
                made.add(1)
                try list.append(number)
            }
        } catch is ManagerLost {}
    }

    func end() throws {
        let old = manager.withLock { $0.take() }
        do { try old?.shutdown() } catch is ManagerLost {}
    }

    var figures: Figures {
        Figures(["manager calls": calls.load(ordering: .relaxed), "managers": managers.load(ordering: .relaxed)])
    }
}
