// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A manager's address, by which its clients reach it in ways of their own.
enum Way: CaseIterable, Codable, Sendable {
    /// Shared memory, through a Unix socket.
    case unix
    /// The connection itself.
    case tcp

    var address: Address {
        switch self {
        case .unix: .abstract(name: "multiprocessing-way-\(getpid())")
        case .tcp: .tcp(host: "127.0.0.1", port: 0)
        }
    }

    /// A manager with an address that is reached so.
    func manager(restart: Manager.Restart = .never) throws -> (Manager, Address) {
        let manager = try Manager(address: address, authenticationKey: "key", restart: restart)
        guard let found = manager.address else { throw CheckFailed(description: "no address") }
        return (manager, found)
    }
}

/// Starts a process that knows nothing of a manager but its address, and connects.
func startVisitor(_ address: Address, _ body: @escaping @Sendable (Manager) throws -> Void) throws -> ChildProcess {
    let process = ChildProcess {
        try body(try Manager.connect(to: address, authenticationKey: "key"))
    }
    try process.start()
    return process
}

/// Waits for the end of a process that is to end well.
func finish(_ process: ChildProcess, line: Int = #line) throws {
    try process.join()
    try checkEqual(process.exitCode, 0, line: line)
    try process.close()
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerNetworkTests {
    @Test(arguments: Way.allCases)
    func `what lies in shared memory is made only for managers that share it`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            let process = try startVisitor(address) { manager in
                guard way == .tcp else {
                    try manager.names.set(try manager.queue(of: Int.self), forName: "queue")
                    return
                }
                for make in [{ _ = try manager.queue(of: Int.self) }, { _ = try manager.lock() }] {
                    try checkEqual(try checkThrows(ManagerError.self, make).code, .notLocal)
                }
            }
            try finish(process)
            try checkEqual(try manager.names.get("queue", as: Queue<Int>.self) != nil, way == .unix)
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `who connects can do what a child can`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            let list = try manager.list([3, 1, 2])
            try manager.names.set(list, forName: "list")
            let process = try startVisitor(address) { manager in
                let found = try manager.names.get("list", as: ManagedList<Int>.self)
                guard let list = found else { throw CheckFailed(description: "no list") }
                try list.sort()
                try checkEqual(try list.value(), [1, 2, 3])
                // Values of its own, errors, closures with captures.
                let counter = try manager.host { WordCounter() }
                let word = "Hello"
                try checkEqual(try counter.withValue { $0.add(word) }, 1)
                try checkEqual(try counter.withValue(with: word) { $0.add($1) }, 2)
                do {
                    try counter.withValue { counter in throw TooMany(count: counter.add("Hello")) }
                    try check(false)
                } catch let error as TooMany { try checkEqual(error.count, 3) }
                // Handles in requests and answers.
                let rows = try manager.list([list])
                try rows.element(at: 0).append(4)
                let inner = try rows.managed.withValue { $0[0] }
                try checkEqual(try inner.value(), [1, 2, 3, 4])
                try check(inner == list)
                try rows.managed.withValue { rows in rows.append(list) }
                try checkEqual(try rows.value(), [list, list])
                try manager.names.set(rows, forName: "rows")
                do {
                    try manager.shutdown()
                    try check(false)
                } catch let error as ManagerError { try checkEqual(error.code, .notOwner) }
            }
            try finish(process)
            // What it put there is still there.
            let rows = try manager.names.get("rows", as: ManagedList<ManagedList<Int>>.self)
            try rows?.element(at: 1).append(5)
            try checkEqual(try list.value(), [1, 2, 3, 4, 5])
            try checkEqual(try manager.names.names(), ["list", "rows"])
            try manager.shutdown()
        }
    }

    @Test func `calls of tasks are under way together, over a network as well`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let total = try manager.host { 0 }
            try manager.names.set(total, forName: "total")
            let process = ChildProcess {
                let manager = try await Manager.connect(to: address, authenticationKey: "key")
                guard let total = try await manager.names.get("total", as: Managed<Int>.self) else { exit(9) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for n in 0..<500 { group.addTask { try await total.withValue { $0 += n } } }
                    try await group.waitForAll()
                }
            }
            try process.start()
            try finish(process)
            try checkEqual(try total.withValue { $0 }, 499 * 250)
            try manager.shutdown()
        }
    }

    @Test func `who connects while a manager comes back is told of the end of the process that let it in`()
        async throws
    {
        try await isolated {
            let (manager, address) = try Way.tcp.manager(restart: .withFreshValues())
            let (news, teller) = try Connection.pipe()
            let (here, there) = try Connection.pipe()
            // It lets nobody in any more: who comes waits for the next.
            let first = manager.processIdentifier
            kill(first, SIGSTOP)
            let process = try startVisitor(address) { manager in
                try teller.send("connected")
                _ = try there.receive(String.self)
                let list = try manager.list([1])
                let server = try list.managed.withValue { _ in getpid() }
                let lost = try managerLost { try list.managed.withValue { _ in exit(7) } }
                try checkEqual(lost.status, .exited(7))
                try checkEqual(lost.processIdentifier, server)
            }
            try checkEqual(try news.receive(String.self), "connected")
            kill(first, SIGKILL)
            while manager.processIdentifier == first { sched_yield() }
            try here.send("go on")
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `values live as long as handles of who connected, and go when it is killed`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            for ending in ["drop", "kill", "inner"] {
                var (witness, gone): (Managed<Witness>?, Connection) = try makeWitness(manager)
                if let witness { try manager.names.set(witness, forName: "witness") }
                let (here, there) = try Connection.pipe()
                let process = try startVisitor(address) { manager in
                    var witness = try manager.names.get("witness", as: Managed<Witness>.self)
                    try there.send("has it")
                    _ = try there.receive(Int.self)
                    try witness?.withValue { _ in }
                    if ending == "drop" { witness = nil }
                    // An answer that holds a handle of it and is dropped at once.
                    if ending == "inner", let handle = witness {
                        witness = nil
                        _ = try manager.list([handle]).value()
                    }
                    try there.send("ready")
                    _ = try there.receive(Int.self)
                    withExtendedLifetime(witness) {}
                }
                there.close()
                try checkEqual(try here.receive(String.self), "has it")
                try manager.names.remove("witness")
                witness = nil
                try here.send(0)
                try checkEqual(try here.receive(String.self), "ready")
                switch ending {
                case "kill":
                    try check(try !gone.poll(timeout: .milliseconds(50)))
                    try process.kill()
                    try checkEqual(try gone.receive(String.self, timeout: .seconds(60)), "gone")
                    try process.join()
                    try process.close()
                default:
                    try checkEqual(try gone.receive(String.self, timeout: .seconds(60)), "gone")
                    try here.send(0)
                    try finish(process)
                }
            }
            try manager.shutdown()
        }
    }
}
