// SPDX-License-Identifier: Apache-2.0
//
// What Python's managers do, where the suites of managers do not show it already. "Coming from Python" lists every row.

import Glibc
import Multiprocessing
import Testing

/// A result that cannot be written.
private struct Unwritable: Codable, Sendable {
    func encode(to encoder: any Encoder) throws { throw TooMany(count: 3) }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerRowsTests {
    @Test func `a result that cannot be written is the error of its call alone`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 1 }
            do {
                _ = try number.withValue { _ in Unwritable() }
                try check(false)
            } catch let error as TooMany { try checkEqual(error.count, 3) }
            // Nor is an argument; nothing is sent then.
            do {
                _ = try number.withValue(with: Unwritable()) { number, _ in number += 1 }
                try check(false)
            } catch let error as TooMany { try checkEqual(error.count, 3) }
            try checkEqual(try number.withValue { $0 }, 1)
            try manager.shutdown()
        }
    }

    @Test func `an error in making a value comes back, and one that is not Codable in words`() async throws {
        struct Plain: Error {}
        try await isolated {
            let manager = try Manager()
            do {
                _ = try manager.host { () throws -> Int in throw TooMany(count: 2) }
                try check(false)
            } catch let error as TooMany { try checkEqual(error.count, 2) }
            do {
                _ = try manager.host { () throws -> Int in throw Plain() }
                try check(false)
            } catch let error as RemoteError { try check("\(error)".contains("Plain"), "\(error)") }
            try manager.shutdown()
        }
    }

    @Test func `a manager takes no notice of an interrupt`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 1 }
            kill(manager.processIdentifier, SIGINT)
            try checkEqual(try number.withValue { $0 }, 1)
            try check(manager.isAlive)
            try manager.shutdown()
        }
    }

    @Test func `a shutdown can be repeated, and ends a manager that is stuck`() async throws {
        try await isolated {
            let manager = try Manager()
            let stuck = try manager.host { 1 }
            let entered = try Event()
            let call = try stuck.withValueAsync { _ in
                entered.set()
                while true { pause() }
            }
            try check(try entered.wait(timeout: .seconds(60)))
            for _ in 0..<3 { try manager.shutdown() }
            try check(!manager.isAlive)
            try checkEqual(try managerLost { try call.get() }.code, .shutDown)
            try check(!Proc.isRunning(manager.processIdentifier))
        }
    }

    @Test(arguments: ["path", "tcp"])
    func `another manager can have the address at once, whether the last one was shut down or killed`(
        place: String
    ) async throws {
        let path = socketPath()
        try await isolated {
            var address: Address = place == "path" ? .unix(path: path) : .tcp(host: "127.0.0.1", port: 0)
            for ending in ["shutdown", "kill", "drop", "end"] {
                let manager = try Manager(address: address, authenticationKey: "key")
                guard let found = manager.address else { return try check(false) }
                address = found
                try manager.names.set(ending, forName: "ending")
                try finish(
                    try startVisitor(address) { manager in
                        try checkEqual(try manager.names.get("ending"), ending)
                    }
                )
                do {
                    _ = try Manager(address: address, authenticationKey: "key")
                    try check(false)
                } catch let error as SystemError { try checkEqual(error.code, EADDRINUSE) }
                switch ending {
                case "kill":
                    kill(manager.processIdentifier, SIGKILL)
                    // Its address is still there for those who ask why.
                    let code = try ChildProcess.run {
                        try managerLost {
                            try Manager.connect(to: found, authenticationKey: "key").names.names()
                        }.code == .killed
                    }
                    try check(code)
                case "drop": break
                default: try manager.shutdown()
                }
            }
        }
        if place == "path" { #expect(access(path, F_OK) != 0) }
    }

    @Test func `threads share a handle, and tasks of a pool get it as an argument`() async throws {
        try await isolated {
            let manager = try Manager()
            let total = try manager.host { 0 }
            let threads = try (0..<8).map { _ in
                try onThreadAsync { for _ in 0..<200 { try total.withValue { $0 += 1 } } }
            }
            for thread in threads { try thread.get() }
            try checkEqual(try total.withValue { $0 }, 1600)
            try withPool(processes: 2) { pool in
                let results = try (0..<20).map { n in
                    try pool.applyAsync({ (n: Int, total: Managed<Int>) in try total.withValue { $0 += n } }, n, total)
                }
                for result in results { try result.get() }
            }
            try checkEqual(try total.withValue { $0 }, 1600 + 190)
            try manager.shutdown()
        }
    }

    @Test func `a function that awaits is alone with its value, and other values go on meanwhile`() async throws {
        try await isolated {
            let manager = try Manager()
            let steps = try manager.list(of: String.self)
            let other = try manager.host { 0 }
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                try await steps.managed.withValue { steps in
                    steps.append("begins")
                    try await there.send("in")
                    _ = try await there.receive(Int.self)
                    steps.append("ends")
                }
            }
            try process.start()
            try checkEqual(try here.receive(String.self), "in")
            // Waits for its turn.
            let late = try steps.managed.withValueAsync { $0.append("late") }
            for _ in 0..<50 { try other.withValue { $0 += 1 } }
            try check(!late.isReady)
            try here.send(0)
            try late.get()
            try finish(process)
            try checkEqual(try steps.value(), ["begins", "ends", "late"])
            try checkEqual(try other.withValue { $0 }, 50)
            try manager.shutdown()
        }
    }

    @Test func `the text of a handle tells which value it is, and value() is a copy`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([1, 2])
            try check("\(list)".contains("ManagedList"), "\(list)")
            try check("\(list)".contains("\(manager.processIdentifier)"), "\(list)")
            var copy = try list.value()
            copy.append(3)
            try checkEqual(try list.value(), [1, 2])
            // Equal lists are not the same one.
            try check(try manager.list([1, 2]) != list)
            try manager.shutdown()
        }
    }
}
