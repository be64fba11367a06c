// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// The actors of a round: each role is played by one process after the other, until the end.
final class Cast: Sendable {
    /// What an actor is called, and how one comes to be.
    struct Role: Sendable {
        let name: String
        let make: @Sendable (StartMethod) -> ChildProcess
    }

    private struct Playing {
        var actors: [(role: Int, process: ChildProcess)] = []
        var starts = 0
        var losses: [String: Int] = [:]
    }

    private let roles: [Role]
    private let playing = Mutex(Playing())

    init(_ roles: [Role]) {
        self.roles = roles
    }

    /// The actors' pids.
    var processes: [pid_t] { playing.withLock { $0.actors.compactMap(\.process.processIdentifier) } }

    /// How many actors of a role were lost.
    func losses(of name: String) -> Int { playing.withLock { $0.losses[name, default: 0] } }

    /// Has every role played whose actor is gone, and looks how the gone ones went.
    func fill(_ random: inout Seeded) throws {
        let gone = playing.withLock { playing in
            let gone = playing.actors.filter { !$0.process.isAlive }
            playing.actors.removeAll { !$0.process.isAlive }
            return gone
        }
        for (role, process) in gone { try bury(process, roles[role].name) }
        let played = playing.withLock { Set($0.actors.map(\.role)) }
        for (index, role) in roles.enumerated() where !played.contains(index) {
            let method = [StartMethod.forkServer, .forkServer, .forkServer, .spawn, .fork].randomElement(using: &random)
            let process = role.make(method ?? .forkServer)
            do {
                try process.start()
            } catch {
                // The fork server may have been killed with the order in its hands; there will be another.
                continue
            }
            playing.withLock { playing in
                playing.actors.append((index, process))
                playing.starts += 1
            }
        }
    }

    /// Looks how an actor ended: by itself, or killed. Anything else must not be.
    private func bury(_ process: ChildProcess, _ name: String) throws {
        let status = process.exitStatus
        try process.close()
        if status == .exited(0) { return }
        playing.withLock { $0.losses[name, default: 0] += 1 }
        // A child whose server was killed is killed with it.
        if case .signaled(let signal)? = status, signal == .kill { return }
        throw Violation("the \(name) \(process.name) ended so: \(String(describing: status))")
    }

    /// Waits for everybody's end.
    func end() throws {
        let actors = playing.withLock { playing in
            defer { playing.actors = [] }
            return playing.actors
        }
        for (role, process) in actors {
            guard try process.join(timeout: .seconds(60)) else {
                let place = process.processIdentifier.map { Remnants.place(of: $0) } ?? ""
                let actor = "the \(roles[role].name) \(process.name), started by \(process.startMethod)"
                throw Violation("\(actor), does not go home; it is in \(place)")
            }
            try bury(process, roles[role].name)
        }
    }

    var figures: Figures { playing.withLock { Figures(["actors": $0.starts]) } }
}
