// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// The code of the guide "Connecting processes".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ConnectingProcessesTests {
    @Test func `within a program`() async throws {
        try await isolated {
            let (parent, child) = try Connection.pipe()
            let process = ChildProcess { try child.send(["hello", "world"]) }
            try process.start()
            child.close()
            let words = try parent.receive([String].self)
            try checkEqual(words, ["hello", "world"])
            try process.join()
            try process.close()

            let queue = try Queue<Int>(capacity: 100)
            let producer = ChildProcess { for number in 1...3 { try queue.put(number) } }
            try producer.start()
            try producer.join()
            try producer.close()
            var sum = 0
            while let number = try queue.tryGet() { sum += number }
            try checkEqual(sum, 6)
        }
    }

    @Test func `between programs and machines`() async throws {
        try await isolated {
            let key = AuthenticationKey.random()
            let listener = try Listener(address: .tcp(host: "127.0.0.1", port: 0), authenticationKey: key)
            let address = listener.address  // with the port that was found

            let client = ChildProcess {
                let connection = try Connection.connect(to: address, authenticationKey: key)
                try connection.send(21)
                let answer: Int = try connection.receive()
                try checkEqual(answer, 42)
            }
            try client.start()

            let connection = try listener.accept()
            try connection.send(try connection.receive(Int.self) * 2)

            let ready = try Connection.wait(for: [connection, listener, client.sentinel], timeout: .seconds(5))
            try check(!ready.isEmpty)
            try client.join()
            try checkEqual(client.exitCode, 0)
            try client.close()
        }
    }
}
