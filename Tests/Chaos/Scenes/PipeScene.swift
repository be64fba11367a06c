// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Receives from processes that are killed while they send: what comes is whole and in order, and then comes the end.
final class PipeScene: Sendable {
    private let sender = Atomic<Int32>(0)
    private let messages = Atomic<Int>(0)

    /// The pid of whoever sends.
    var processes: [pid_t] { [sender.load(ordering: .relaxed)] }

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        while !stage.hasEnded {
            let count = Int.random(in: 0...2000, using: &random)
            let (mine, others) = try Connection.pipe()
            let process = ChildProcess(target: Self.send, arguments: others, count, daemon: true)
            do { try process.start() } catch { continue }
            others.close()
            sender.store(process.processIdentifier ?? 0, ordering: .relaxed)
            var received = 0
            do {
                while true {
                    let message: Message = try mine.receive(timeout: .seconds(60))
                    try check(message.number == received, "message \(message.number) of a pipe came after \(received)")
                    let expected = Message.payload(0, received, size: message.payload.count)
                    try check(message.payload == expected, "message \(received) of a pipe is torn")
                    received += 1
                }
            } catch let error as ConnectionError where error.code == .endOfFile {}
            mine.close()
            guard try process.join(timeout: .seconds(60)) else { throw Violation("a sender does not end") }
            sender.store(0, ordering: .relaxed)
            if process.exitStatus == .exited(0) {
                try check(received == count, "\(received) of \(count) messages of a pipe came")
            } else {
                try check(
                    process.exitStatus == .signaled(.kill),
                    "a sender ended so: \(String(describing: process.exitStatus))"
                )
            }
            try process.close()
            messages.add(received, ordering: .relaxed)
        }
    }

    @Sendable private static func send(_ connection: Connection, _ count: Int) throws {
        for number in 0..<count {
            let size = number % 97 == 5 ? 200_000 : number % 50
            try connection.send(Message(producer: 0, number: number, payload: Message.payload(0, number, size: size)))
        }
    }

    var figures: Figures { Figures(["pipe messages": messages.load(ordering: .relaxed)]) }
}
