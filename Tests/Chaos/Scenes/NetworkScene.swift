// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Receives through sockets from processes that are killed while they connect, prove the key, or send.
final class NetworkScene: Sendable {
    private let sender = Atomic<Int32>(0)
    private let messages = Atomic<Int>(0)

    /// The pid of whoever sends.
    var processes: [pid_t] { [sender.load(ordering: .relaxed)] }

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        var number = 0
        while !stage.hasEnded {
            number += 1
            let path = "\(Names.folder)/\(getpid()).\(number)"
            let address: Address = random.once(in: 2) ? .unix(path: path) : .tcp(host: "127.0.0.1", port: 0)
            let key = AuthenticationKey.random()
            try share("chaos-\(getpid())-\(number)")
            let listener = try Listener(address: address, authenticationKey: key)
            for _ in 0..<3 where !stage.hasEnded {
                try converse(listener, key, Int.random(in: 0...300, using: &random))
            }
            listener.close()
        }
    }

    /// Makes memory with a name, which another look at it finds, and takes the name away.
    private func share(_ name: String) throws {
        let memory = try SharedMemory(name: name, create: true, size: 4096)
        memory.withUnsafeMutableBytes { $0[7] = 42 }
        let same = try SharedMemory(name: name)
        try check(same.withUnsafeMutableBytes { $0[7] } == 42, "\(name) is other memory")
        try memory.unlink()
    }

    /// Has a process connect and send that many messages.
    private func converse(_ listener: Listener, _ key: AuthenticationKey, _ count: Int) throws {
        let process = ChildProcess(target: Self.send, arguments: listener.address, key, count, daemon: true)
        do { try process.start() } catch { return }
        sender.store(process.processIdentifier ?? 0, ordering: .relaxed)
        var (received, wasCut) = (0, false)
        if let connection = try connection(from: listener, process) {
            do {
                while true {
                    let message: Message = try connection.receive(timeout: .seconds(60))
                    try check(
                        message.number == received,
                        "message \(message.number) of a socket came after \(received)"
                    )
                    let expected = Message.payload(2, received, size: message.payload.count)
                    try check(message.payload == expected, "message \(received) of a socket is torn")
                    received += 1
                }
            } catch let error as ConnectionError where error.code == .endOfFile {
            } catch let error as ConnectionError where error.code == .invalidMessage {
                // Killed in the middle of a message.
                wasCut = true
            } catch let error as SystemError where error.code == ECONNRESET {
                // A killed process had not read what its end said to it.
            }
            connection.close()
        }
        guard try process.join(timeout: .seconds(60)) else { throw Violation("a sender does not end") }
        sender.store(0, ordering: .relaxed)
        let status = process.exitStatus
        if status == .exited(0) {
            try check(received == count && !wasCut, "\(received) of \(count) messages of a socket came")
        } else {
            try check(status == .signaled(.kill), "a sender ended so: \(String(describing: status))")
        }
        try process.close()
        messages.add(received, ordering: .relaxed)
    }

    /// Waits for the process to come; nil when it was killed before.
    private func connection(from listener: Listener, _ process: ChildProcess) throws -> Connection? {
        while true {
            do {
                return try listener.accept(timeout: .milliseconds(20))
            } catch is TimeoutError {
                if process.isAlive { continue }
                // It may have come right before its end.
                return try? listener.accept(timeout: .milliseconds(20))
            }
        }
    }

    @Sendable private static func send(_ address: Address, _ key: AuthenticationKey, _ count: Int) throws {
        let connection = try Connection.connect(to: address, authenticationKey: key)
        for number in 0..<count {
            let size = number % 53 == 5 ? 100_000 : number % 50
            try connection.send(Message(producer: 2, number: number, payload: Message.payload(2, number, size: size)))
        }
    }

    var figures: Figures { Figures(["socket messages": messages.load(ordering: .relaxed)]) }
}
