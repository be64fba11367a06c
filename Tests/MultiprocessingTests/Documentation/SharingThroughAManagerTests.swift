// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// The code of the guide "Sharing values through a manager".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharingThroughAManagerTests {
    @Test func `overview`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: String.self)
            let process = ChildProcess { try list.append("Hello") }
            try process.start()
            try process.join()
            try process.close()
            try checkEqual("\(try list.value())", #"["Hello"]"#)
        }
    }

    @Test func `values of your own`() async throws {
        try await isolated {
            let manager = try Manager()
            let counter = try manager.host { WordCounter() }
            let total = try counter.withValue { $0.add("Hello") }
            try checkEqual(total, 1)
            let word = "Hello"
            try checkEqual(try counter.withValue(with: word) { counter, word in counter.add(word) }, 2)
        }
    }

    @Test func `calls under way`() async throws {
        try await isolated {
            let manager = try Manager()
            let counter = try manager.host { WordCounter() }
            let words = ["a", "b", "a"]
            let results = try words.map { try counter.withValueAsync(with: $0) { counter, word in counter.add(word) } }
            let counts = try results.map { try $0.get() }
            try checkEqual(counts, [1, 1, 2])
        }
    }

    @Test func `from other programs and other machines`() async throws {
        try await isolated {
            let key: AuthenticationKey = "key"
            let server = try Manager(address: .tcp(host: "127.0.0.1", port: 0), authenticationKey: key)
            try server.names.set(try server.list(of: String.self), forName: "jobs")
            guard let address = server.address else { return try check(false) }
            let process = ChildProcess {
                let manager = try Manager.connect(to: address, authenticationKey: key)
                let jobs = try manager.names.get("jobs", as: ManagedList<String>.self)
                try jobs?.append("photo.jpg")
            }
            try process.start()
            try process.join()
            try process.close()
            try checkEqual(try server.names.get("jobs", as: ManagedList<String>.self)?.value(), ["photo.jpg"])
        }
    }

    @Test func `waiting for each other`() async throws {
        try await isolated {
            let key: AuthenticationKey = "key"
            let manager = try Manager(address: .tcp(host: "127.0.0.1", port: 0), authenticationKey: key)
            guard let address = manager.address else { return try check(false) }
            let queue = try manager.hostedQueue(of: String.self, capacity: 100)
            try manager.names.set(queue, forName: "queue")
            let process = ChildProcess {
                let manager = try Manager.connect(to: address, authenticationKey: key)
                let queue = try manager.names.get("queue", as: ManagedQueue<String>.self)
                try queue?.put("photo.jpg", timeout: .seconds(5))
            }
            try process.start()
            try process.join()
            try process.close()
            try checkEqual(try queue.get(timeout: .zero), "photo.jpg")
        }
    }

    @Test func `handles`() async throws {
        try await isolated {
            let manager = try Manager()
            let row = try manager.list(of: Int.self)
            let rows = try manager.list([row])
            try rows.element(at: 0).append(1)
            try checkEqual(try row.value(), [1])
        }
    }

    @Test func `when the manager ends`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([1])
            do {
                _ = try list.managed.withValue { $0[7] }
                try check(false)
            } catch let lost as ManagerLost {
                try check(!trapsHaveWords || "\(lost)".contains("Fatal error: Index out of range"), "\(lost)")
            }
        }
    }
}
