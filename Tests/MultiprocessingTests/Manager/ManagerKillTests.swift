// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Changed in two steps, so that half a change would show.
struct Account {
    var paidIn = 0
    var balance = 0
    var entries: [Int] = []

    /// Pays in.
    mutating func pay(_ amount: Int) {
        paidIn += amount
        entries.append(amount)
        balance += amount
    }

    /// Whether it is as some whole number of calls left it.
    var isWhole: Bool { paidIn == balance && entries.reduce(0, +) == balance }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerKillTests {
    @Test(arguments: [UInt64(1), 2])
    func `a thousand clients are killed in the middle of calls, and the value is whole`(seed: UInt64) async throws {
        try await isolated {
            var generator = Seeded(seed: seed)
            let manager = try Manager()
            let account = try manager.host { Account() }
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            let list = try manager.list(of: Int.self)
            let shared = try manager.list(of: ManagedList<Int>.self)
            try shared.append(list)
            // As long as the machine is so busy that nobody gets anywhere, all live longer.
            var patience: UInt32 = 1
            for _ in 0..<50 {
                let processes = (0..<10).map { number in
                    ChildProcess { [witness] in
                        try witness?.withValue { _ in }
                        while true {
                            let amount = number + 1
                            try account.withValue { $0.pay(amount) }
                            try account.withValue(with: amount) { $0.pay($1) }
                            try list.append(number)
                            // Handles on their way in both directions.
                            try shared.append(list)
                            _ = try shared.popLast()
                        }
                    }
                }
                for process in processes { try process.start() }
                for process in processes {
                    usleep(UInt32.random(in: 0..<2000, using: &generator) * patience)
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
            try check(try list.count() > 0)
            // Nobody has it any more but this process.
            witness = nil
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try manager.shutdown()
        }
    }

    @Test func `hostile bytes end their own connection and nothing else`() async throws {
        try await isolated {
            var generator = Seeded(seed: 7)
            let manager = try Manager()
            let number = try manager.host { 0 }
            for round in 0..<880 {
                let connection = try manager.openConnection()
                var bytes = (0..<Int.random(in: 0..<80, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                // Often something that begins like a request.
                if round % 4 != 0, !bytes.isEmpty { bytes[0] = UInt8(round / 4 % 11) }
                if round % 3 == 0, bytes.count > 17 { bytes.replaceSubrange(9..<17, with: [1, 0, 0, 0, 0, 0, 0, 0]) }
                try connection.sendBytes(bytes)
                connection.close()
                if round % 50 == 0 { try number.withValue { $0 += 1 } }
            }
            try checkEqual(try number.withValue { $0 }, 18)
            try manager.shutdown()
        }
    }

    @Test func `a client that does not listen holds nobody up`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([[UInt8]](repeating: [UInt8](repeating: 1, count: 1000), count: 1000))
            let started = try Event()
            let process = ChildProcess {
                started.set()
                // Many large answers under way, to a process that is stopped.
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<50 { group.addTask { _ = try await list.value() } }
                    try await group.waitForAll()
                }
            }
            try process.start()
            try check(try started.wait(timeout: .seconds(60)))
            try process.send(.stop)
            for _ in 0..<20 { try checkEqual(try list.count(), 1000) }
            try process.send(.continue)
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
            try manager.shutdown()
        }
    }
}
