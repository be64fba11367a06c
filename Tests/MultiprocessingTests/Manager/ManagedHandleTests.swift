// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// Tells when it goes.
final class Witness {
    private let connection: Connection

    init(_ connection: Connection) {
        self.connection = connection
    }

    deinit {
        try? connection.send("gone")
    }
}

/// Makes a hosted witness, and the connection that tells when it goes.
func makeWitness(_ manager: Manager) throws -> (Managed<Witness>, Connection) {
    let (here, there) = try Connection.pipe()
    let witness = try manager.host { Witness(there) }
    return (witness, here)
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagedHandleTests {
    @Test func `a value goes with its last handle`() async throws {
        try await isolated {
            let manager = try Manager()
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            try check(try !news.poll(timeout: .milliseconds(50)))
            let process = ChildProcess { [witness] in
                try witness?.withValue { _ in }
            }
            try process.start()
            try process.join()
            try process.close()
            try check(try !news.poll(timeout: .milliseconds(50)))
            witness = nil
            withExtendedLifetime(process) {}
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try manager.shutdown()
        }
    }

    @Test func `a handle under way keeps the value, and one that is lost does not`() async throws {
        try await isolated {
            let manager = try Manager()
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            // In a queue, for nobody yet.
            let queue = try Queue<Managed<Witness>>()
            if let witness { try queue.put(witness) }
            witness = nil
            try check(try !news.poll(timeout: .milliseconds(100)))
            var received: Managed<Witness>? = try queue.get()
            try received?.withValue { _ in }
            try check(try !news.poll(timeout: .milliseconds(50)))

            // In a connection that nobody receives from any more.
            let (here, there) = try Connection.pipe()
            if let received { try here.send(received) }
            received = nil
            try check(try !news.poll(timeout: .milliseconds(100)))
            here.close()
            there.close()
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try manager.shutdown()
        }
    }

    @Test func `a process that is killed gives up its handles`() async throws {
        try await isolated {
            let manager = try Manager()
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            let (here, there) = try Connection.pipe()
            let process = ChildProcess { [witness] in
                try witness?.withValue { _ in }
                try there.send("has it")
                while true { pause() }
            }
            try process.start()
            there.close()
            try checkEqual(try here.receive(String.self), "has it")
            witness = nil
            try process.kill()
            try process.join()
            try process.close()
            withExtendedLifetime(process) {}
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            try manager.shutdown()
        }
    }

    @Test func `handles inside hosted values keep their identity`() async throws {
        try await isolated {
            let manager = try Manager()
            let inner = try manager.list(of: Int.self)
            let outer = try manager.list(of: ManagedList<Int>.self)
            try outer.append(inner)
            let process = ChildProcess { try outer.value()[0].append(7) }
            try process.start()
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
            try checkEqual(try inner.value(), [7])
            // The list of lists alone keeps it.
            try checkEqual(try outer.value()[0].value(), [7])
            try manager.shutdown()
        }
    }

    @Test func `every way of starting takes handles along`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: String.self)
            for method in [StartMethod.forkServer, .spawn, .fork] {
                let process = ChildProcess(startMethod: method) { try list.append("\(method)") }
                try process.start()
                try process.join()
                try checkEqual(process.exitCode, 0)
                try process.close()
            }
            try list.append("here")
            try checkEqual(
                try list.value(),
                ["\(StartMethod.forkServer)", "\(StartMethod.spawn)", "\(StartMethod.fork)", "here"]
            )
            try manager.shutdown()
        }
    }

    @Test func `a handle cannot be written by any other encoder`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: String.self)
            do {
                try list.encode(to: RefusingEncoder())
                try check(false)
            } catch is HandleNotPortable {}
            try manager.shutdown()
        }
    }

    @Test func `two hundred processes use one value`() async throws {
        try await isolated {
            let manager = try Manager()
            let total = try manager.host { 0 }
            let processes = (0..<200).map { _ in
                ChildProcess { for _ in 0..<20 { try total.withValue { $0 += 1 } } }
            }
            for process in processes { try process.start() }
            for process in processes {
                try process.join()
                try checkEqual(process.exitCode, 0)
                try process.close()
            }
            try checkEqual(try total.withValue { $0 }, 4000)
            try manager.shutdown()
        }
    }
}

/// An encoder that no handle can be written by.
private struct RefusingEncoder: Encoder {
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        fatalError("nothing is to be written")
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer { fatalError("nothing is to be written") }

    func singleValueContainer() -> any SingleValueEncodingContainer { fatalError("nothing is to be written") }
}
