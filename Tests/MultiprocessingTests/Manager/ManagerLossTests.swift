// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Calls `body`, which has to throw `ManagerLost`, and returns that.
func managerLost<R>(line: Int = #line, _ body: () throws -> R) throws -> ManagerLost {
    do {
        _ = try body()
    } catch let error as ManagerLost {
        return error
    }
    throw CheckFailed(description: "line \(line): ManagerLost was not thrown")
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerLossTests {
    @Test func `a function that traps ends the manager, and everybody learns why`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.host { [1, 2, 3] }
            let other = try manager.host { 1 }
            let (there, here) = try Connection.pipe()
            let blocked = try manager.host { 0 }
            // Waits in another process while the manager traps.
            let process = ChildProcess {
                try there.send(try other.withValue { $0 })
                let lost = try managerLost {
                    try blocked.withValue { _ in while true { pause() } }
                }
                try there.send([lost.message ?? "", "\(lost.status?.code ?? 0)"])
            }
            try process.start()
            there.close()
            try checkEqual(try here.receive(Int.self), 1)
            let index = 7
            let lost = try managerLost { try list.withValue { $0[index] } }
            try checkEqual(lost.code, .crashed)
            try check(!trapsHaveWords || lost.message?.contains("Index out of range") == true, "\(lost)")
            try checkEqual(lost.processIdentifier, manager.processIdentifier)
            try check(lost.status?.code ?? 0 < 0)
            // Later calls, of this process and of others.
            try checkEqual(try managerLost { try other.withValue { $0 } }.code, .crashed)
            try checkEqual(try managerLost { try manager.host { 1 } }.code, .crashed)
            try check(!manager.isAlive)
            let told = try here.receive([String].self)
            try check(!trapsHaveWords || told[0].contains("Index out of range"), "\(told)")
            try checkEqual(told[1], "\(lost.status?.code ?? 0)")
            try process.join()
            try process.close()
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `a call is made though the answers to others have filled what there is for answers`(way: Way) async throws {
        try await isolated {
            let (owner, address) = try way.manager()
            let manager = try Manager.connect(to: address, authenticationKey: "key")
            let value = try manager.host { [UInt8](repeating: 7, count: 200_000) }
            let results = try (0..<60).map { _ in try value.withValueAsync { $0 } }
            // The manager answers as far as there is room, and then reads on only when there is room again.
            usleep(300_000)
            let argument = [UInt8](repeating: 1, count: 5_000_000)
            try checkEqual(try value.withValue(with: argument) { $0.count + $1.count }, 5_200_000)
            for result in results { try checkEqual(try result.get(timeout: .seconds(30)).count, 200_000) }
            try owner.shutdown()
        }
    }

    @Test func `a manager that is killed is lost to those who wait and to those who come later`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 0 }
            let entered = try Event()
            let waiting = try onThreadAsync {
                try managerLost {
                    try number.withValue { _ in
                        entered.set()
                        while true { pause() }
                    }
                }
            }
            try check(try entered.wait(timeout: .seconds(60)))
            kill(manager.processIdentifier, SIGKILL)
            try checkEqual(try waiting.get().code, .killed)
            try checkEqual(try managerLost { try number.withValue { $0 } }.status, .signaled(.kill))
            try checkEqual(try managerLost { try manager.list(of: Int.self) }.code, .killed)
        }
    }

    @Test func `after a shutdown every call says so`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 0 }
            let entered = try Event()
            let waiting = try onThreadAsync {
                try managerLost {
                    try number.withValue { _ in
                        entered.set()
                        while true { pause() }
                    }
                }
            }
            try check(try entered.wait(timeout: .seconds(60)))
            try manager.shutdown()
            try manager.shutdown()
            try checkEqual(try waiting.get().code, .shutDown)
            try checkEqual(try managerLost { try number.withValue { $0 } }.code, .shutDown)
        }
    }

    @Test func `a manager without handles in its process ends by itself`() async throws {
        try await isolated {
            let pid = try { try Manager().processIdentifier }()
            try checkEqual(Proc.waitForEnd(of: [pid], within: .seconds(60)), [])
            // A handle keeps it.
            func makeList() throws -> ManagedList<Int> { try Manager().list(of: Int.self) }
            let list = try makeList()
            try list.append(1)
            try checkEqual(try list.count(), 1)
        }
    }

    @Test func `a manager ends with the process that made it`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                let manager = try Manager()
                let list = try manager.list(of: Int.self)
                try there.send(manager.processIdentifier)
                try there.send(list)
                while true { pause() }
            }
            try process.start()
            there.close()
            let pid = try here.receive(Int32.self)
            let list = try here.receive(ManagedList<Int>.self)
            try list.append(1)
            try process.kill()
            try process.join()
            try process.close()
            try checkEqual(Proc.waitForEnd(of: [pid], within: .seconds(60)), [])
            _ = try managerLost { try list.append(2) }
        }
    }

    @Test func `a function that never returns keeps its own value busy and no other`() async throws {
        try await isolated {
            let manager = try Manager()
            let stuck = try manager.host { 0 }
            let free = try manager.host { 0 }
            let entered = try Event()
            let waiting = try onThreadAsync {
                try managerLost {
                    try stuck.withValue { _ in
                        entered.set()
                        while true { pause() }
                    }
                }
            }
            try check(try entered.wait(timeout: .seconds(60)))
            // From the same process, and from another.
            for _ in 0..<100 { try free.withValue { $0 += 1 } }
            let process = ChildProcess { for _ in 0..<100 { try free.withValue { $0 += 1 } } }
            try process.start()
            try process.join()
            try process.close()
            try checkEqual(try free.withValue { $0 }, 200)
            try manager.shutdown()
            _ = try waiting.get()
        }
    }
}
