// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Holds a handle, and cannot be read.
private struct Unreadable: Codable, Sendable {
    let handle: Managed<Witness>

    init(handle: Managed<Witness>) {
        self.handle = handle
    }

    init(from decoder: any Decoder) throws {
        throw TooMany(count: 1)
    }
}

/// What breaks between a manager and clients that connected to it.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerBreakTests {
    @Test(arguments: Way.allCases)
    func `who connected learns why the manager ended`(way: Way) async throws {
        try await isolated {
            for ending in ["trap", "exit", "kill", "shutdown"] {
                let (manager, address) = try way.manager()
                let (here, there) = try Connection.pipe()
                let process = try startVisitor(address) { manager in
                    let number = try manager.host { 1 }
                    let stuck = try manager.host { 2 }
                    // On its way before anybody is told to end the manager.
                    let call = try stuck.withValueAsync { _ in while true { pause() } }
                    let waiting = try onThreadAsync { try managerLost { try call.get() } }
                    try number.withValue { $0 += 1 }
                    try there.send(manager.processIdentifier)
                    let lost = try waiting.get()
                    let expected: [String: ManagerLost.Code] = [
                        "trap": .crashed, "exit": .exited, "kill": .killed, "shutdown": .shutDown,
                    ]
                    try checkEqual(lost.code, expected[ending])
                    if ending == "trap" {
                        try check(!trapsHaveWords || lost.message?.contains("Index out of range") == true, "\(lost)")
                        try check(!lost.backtrace.isEmpty)
                    }
                    // Later calls as well; after a shutdown nobody is there who could tell.
                    let later = try managerLost { try number.withValue { $0 } }
                    try checkEqual(later.code, ending == "shutdown" && way == .tcp ? .disconnected : expected[ending])
                }
                there.close()
                let pid = try here.receive(Int32.self)
                try checkEqual(pid, manager.processIdentifier)
                let trapping = try manager.host { [1] }
                switch ending {
                case "trap":
                    let index = 3
                    _ = try managerLost { try trapping.withValue { $0[index] } }
                case "exit": _ = try managerLost { try trapping.withValue { _ in exit(7) } }
                case "kill": kill(pid, SIGKILL)
                default: try manager.shutdown()
                }
                try finish(process)
            }
        }
    }

    @Test(arguments: Way.allCases)
    func `a manager that comes back is found again by who connected`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            try manager.names.set(number, forName: "number")
            let (here, there) = try Connection.pipe()
            let process = try startVisitor(address) { manager in
                guard let number = try manager.names.get("number", as: Managed<Int>.self) else { exit(9) }
                try there.send(
                    try number.withValue {
                        $0 += 1
                        return $0
                    }
                )
                _ = try there.receive(Int.self)
                var value: Int?
                while value == nil { value = try? number.withValue { $0 } }
                try there.send(value ?? 0)
                // The names are as fresh as the rest.
                try checkEqual(try manager.names.names(), [])
            }
            there.close()
            try checkEqual(try here.receive(Int.self), 6)
            let index = 1
            _ = try managerLost { try number.withValue { [$0][index] } }
            try here.send(0)
            try checkEqual(try here.receive(Int.self), 5)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `the first call of who connected is made by the manager that came back`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            try manager.names.set(number, forName: "number")
            let (here, there) = try Connection.pipe()
            let process = try startVisitor(address) { manager in
                guard let number = try manager.names.get("number", as: Managed<Int>.self) else { exit(9) }
                try number.withValue { $0 += 1 }
                try there.send(0)
                _ = try there.receive(Int.self)
                try checkEqual(try number.withValue { $0 }, 5)
            }
            _ = try here.receive(Int.self)
            kill(manager.processIdentifier, SIGKILL)
            var value: Int?
            while value != 5 { value = try? number.withValue { $0 } }
            try here.send(0)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test func `a handle that several threads use first at the same time is counted once`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            if let witness { try manager.names.set(witness, forName: "witness") }
            let (here, there) = try Connection.pipe()
            let first = try startVisitor(address) { manager in
                let handle = try manager.names.get("witness", as: Managed<Witness>.self)
                for _ in 0..<20 {
                    if let handle { try there.send(handle) }
                    _ = try there.receive(Int.self)
                }
            }
            let (end, tail) = try Connection.pipe()
            let second = ChildProcess {
                for _ in 0..<20 {
                    let handle = try here.receive(Managed<Witness>.self)
                    let threads = try (0..<8).map { _ in try onThreadAsync { try handle.withValue { _ in } } }
                    for thread in threads { try thread.get() }
                    try here.send(0)
                }
                try tail.send(0)
                _ = try tail.receive(Int.self)
            }
            try second.start()
            try finish(first)
            _ = try end.receive(Int.self)
            try manager.names.remove("witness")
            witness = nil
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try end.send(0)
            try finish(second)
            try manager.shutdown()
        }
    }

    @Test func `hostile bytes with the right key end their own connection and nothing else`() async throws {
        try await isolated {
            var generator = Seeded(seed: 17)
            let (manager, address) = try Way.tcp.manager()
            let number = try manager.host { 0 }
            try manager.names.set(number, forName: "number")
            func noise() -> [UInt8] {
                (0..<Int.random(in: 1..<80, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
                }
            }
            for round in 0..<300 {
                var bytes = noise()
                if round % 3 == 0 {
                    let connection = try Connection.connect(to: address, authenticationKey: "key")
                    try connection.sendBytes(bytes)
                    connection.close()
                    continue
                }
                // Past the desk, to the manager's process.
                let connection = try Manager.openConnection(to: address, authenticationKey: "key")
                if round % 4 != 0 { bytes[0] = UInt8.random(in: 0...10, using: &generator) }
                if bytes.count > 17, round % 5 == 0 { bytes.replaceSubrange(9..<17, with: [1, 0, 0, 0, 0, 0, 0, 0]) }
                try connection.sendBytes(bytes)
                if round % 2 == 0 { connection.close() }
                if round % 50 == 0 { try number.withValue { $0 += 1 } }
            }
            try checkEqual(try number.withValue { $0 }, 4)
            try finish(
                try startVisitor(address) { manager in
                    let number = try manager.names.get("number", as: Managed<Int>.self)
                    try checkEqual(try number?.withValue { $0 }, 4)
                }
            )
            try manager.shutdown()
        }
    }

    @Test func `clients over a network are killed in the middle of calls, and the value is whole`() async throws {
        try await isolated {
            var generator = Seeded(seed: 3)
            let (manager, address) = try Way.tcp.manager()
            let account = try manager.host { Account() }
            let list = try manager.list(of: Int.self)
            let shared = try manager.list([list])
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            try manager.names.set(account, forName: "account")
            try manager.names.set(shared, forName: "shared")
            if let witness { try manager.names.set(witness, forName: "witness") }
            // As long as the machine is so busy that nobody gets anywhere, all live longer.
            var patience: UInt32 = 1
            for _ in 0..<30 {
                let processes = try (1...10).map { number in
                    try startVisitor(address) { manager in
                        guard let account = try manager.names.get("account", as: Managed<Account>.self),
                            let shared = try manager.names.get("shared", as: ManagedList<ManagedList<Int>>.self),
                            let witness = try manager.names.get("witness", as: Managed<Witness>.self)
                        else { exit(9) }
                        while true {
                            let amount = number
                            try account.withValue { $0.pay(amount) }
                            try shared.element(at: 0).append(number)
                            // Handles on their way in both directions.
                            try shared.append(shared.element(at: 0))
                            _ = try shared.popLast()
                            try witness.withValue { _ in }
                        }
                    }
                }
                for process in processes {
                    usleep(UInt32.random(in: 0..<4000, using: &generator) * patience)
                    try process.kill()
                }
                for process in processes {
                    try process.join()
                    try checkEqual(process.exitStatus, .signaled(.kill))
                    try process.close()
                }
                try check(try account.withValue { $0.isWhole })
                if patience < 64, try account.withValue({ $0.balance }) == 0 { patience *= 2 }
            }
            try check(try account.withValue { $0.balance } > 0, "nobody came to pay")
            try manager.names.remove("witness")
            witness = nil
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try manager.shutdown()
        }
    }

    @Test func `a handle goes on to others from a client over a network, who keeps it until it is used there`()
        async throws
    {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let (here, there) = try Connection.pipe()
            let (end, tail) = try Connection.pipe()
            let first = try startVisitor(address) { manager in
                var handle: Managed<[Int]>? = try manager.host { [1] }
                if let handle { try there.send(handle) }
                handle = nil
                // Once it is counted over there, this one may go.
                _ = try there.receive(Int.self)
            }
            let second = ChildProcess {
                let handle = try here.receive(Managed<[Int]>.self)
                try handle.withValue { $0.append(2) }
                try here.send(0)
                try checkEqual(try handle.withValue { $0 }, [1, 2])
                _ = try tail.receive(Int.self)
                // The first is gone by now.
                try checkEqual(try handle.withValue { $0.count }, 2)
            }
            try second.start()
            try finish(first)
            try end.send(0)
            try finish(second)
            try manager.shutdown()
        }
    }

    @Test func `handles in answers that nobody takes are given back`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            if let witness { try manager.names.set(witness, forName: "witness") }
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                let manager = try await Manager.connect(to: address, authenticationKey: "key")
                for _ in 0..<200 {
                    let call = Task { _ = try await manager.names.get("witness", as: Managed<Witness>.self) }
                    await Task.yield()
                    call.cancel()
                    _ = await call.result
                }
                // Answers that hold one and cannot be read.
                let number = try await manager.host { 0 }
                if let witness = try await manager.names.get("witness", as: Managed<Witness>.self) {
                    for _ in 0..<10 {
                        do {
                            _ = try await number.withValue(with: witness) { Unreadable(handle: $1) }
                            try check(false)
                        } catch is TooMany {}
                    }
                }
                try await manager.names.remove("witness")
                try await there.send("done")
                _ = try await there.receive(Int.self)
            }
            try process.start()
            try checkEqual(try here.receive(String.self), "done")
            witness = nil
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try here.send(0)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be somebody else"))
    func `another user of the machine goes through the connection`() async throws {
        try await isolated {
            let (manager, address) = try Way.unix.manager()
            try manager.names.set(try manager.list([1]), forName: "list")
            let process = ChildProcess {
                try check(seteuid(65534) == 0)
                let manager = try Manager.connect(to: address, authenticationKey: "key")
                let list = try manager.names.get("list", as: ManagedList<Int>.self)
                try list?.append(2)
                do {
                    // A lock would be memory that both write to.
                    try manager.names.set(try Lock(), forName: "lock")
                    try check(false)
                } catch is HandleNotPortable {}
            }
            try process.start()
            try finish(process)
            try checkEqual(try manager.names.get("list", as: ManagedList<Int>.self)?.value(), [1, 2])
            try manager.shutdown()
        }
    }

    @Test func `two hundred clients over a network, and a function that never returns`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let total = try manager.host { 0 }
            let stuck = try manager.host { 0 }
            try manager.names.set(total, forName: "total")
            try manager.names.set(stuck, forName: "stuck")
            let processes = try (0..<200).map { number in
                try startVisitor(address) { manager in
                    guard let total = try manager.names.get("total", as: Managed<Int>.self),
                        let stuck = try manager.names.get("stuck", as: Managed<Int>.self)
                    else { exit(9) }
                    let waiting = try onThreadAsync {
                        try? stuck.withValue { _ in while true { pause() } }
                    }
                    for _ in 0..<20 { try total.withValue { $0 += 1 } }
                    withExtendedLifetime(waiting) {}
                }
            }
            for process in processes { try finish(process) }
            try checkEqual(try total.withValue { $0 }, 4000)
            try manager.shutdown()
        }
    }
}
