// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Has clients work on a value in a manager; clients are killed, and now and then the manager.
final class ManagerScene: Sendable {
    /// How a client comes to a manager, and what becomes of the manager that is killed.
    private enum Kind: CaseIterable {
        /// By a handle that it is given.
        case relative
        /// By the address.
        case stranger
        /// By a handle that it is given, and another process takes the dead one's place.
        case immortal
    }

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
        let kind = Kind.allCases.randomElement(using: &random) ?? .relative
        let key = AuthenticationKey.random()
        let manager: Manager
        do {
            switch kind {
            case .relative: manager = try Manager()
            case .stranger: manager = try Manager(address: .tcp(host: "127.0.0.1", port: 0), authenticationKey: key)
            case .immortal: manager = try Manager(restart: .withFreshValues(limit: 1000))
            }
        } catch is ManagerLost, is ProcessLost {
            // Killed while it was being started, or its server was.
            return
        }
        self.manager.withLock { $0 = manager }
        managers.add(1, ordering: .relaxed)
        let pair = try manager.host { Pair() }
        let list = try manager.list(of: Int.self)
        let made = try SharedAtomic(0)
        let client: ChildProcess
        if let address = manager.address {
            try manager.names.set(pair, forName: "pair")
            try manager.names.set(list, forName: "list")
            client = ChildProcess(target: Self.stranger, arguments: address, key, made, stage.isOver, daemon: true)
        } else {
            client = ChildProcess(target: Self.client, arguments: pair, list, made, stage.isOver, daemon: true)
        }
        do { try client.start() } catch { return }
        var mine = 0
        while !stage.hasEnded, mine < 500 {
            do {
                try pair.withValue { pair in
                    pair.first += 1
                    pair.second += 1
                }
                mine += 1
            } catch is ManagerLost where kind == .immortal {
                continue
            }
        }
        if random.once(in: 2) { try client.kill() }
        guard try client.join(timeout: .seconds(60)) else { throw Violation("a client of a manager does not end") }
        try client.close()
        if kind == .immortal { return try judge(pair) }
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

    /// A value that was made anew knows nothing of calls before, but of whole ones behind.
    private func judge(_ pair: Managed<Pair>) throws {
        for _ in 0..<100 {
            do {
                let now = try pair.withValue { $0 }
                try check(now.first == now.second, "half a call was made: \(now)")
                calls.add(now.first, ordering: .relaxed)
                return
            } catch is ManagerLost {
                continue
            }
        }
        throw Violation("a manager that is restarted was lost a hundred times in a row")
    }

    /// Comes to the manager's address and works on what it finds there.
    @Sendable private static func stranger(
        _ address: Address,
        _ key: AuthenticationKey,
        _ made: SharedAtomic<Int>,
        _ isOver: SharedAtomic<Int>
    ) throws {
        do {
            let manager = try Manager.connect(to: address, authenticationKey: key)
            guard let pair = try manager.names.get("pair", as: Managed<Pair>.self),
                let list = try manager.names.get("list", as: ManagedList<Int>.self)
            else { throw Violation("names are missing") }
            try client(pair, list, made, isOver)
        } catch is ManagerLost {
        } catch is ConnectionError {
            // The desk was closed in the middle of the handshake.
        } catch is SystemError {
            // The manager was gone before it could be found.
        }
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
