// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A type that is not `Codable`, in the manager only.
final class WordCounter {
    private var counts: [String: Int] = [:]

    /// Counts a word and returns how often it has come.
    func add(_ word: String) -> Int {
        counts[word, default: 0] += 1
        return counts[word, default: 0]
    }
}

/// An error of the tests'.
struct TooMany: Error, Codable, Equatable {
    var count: Int
}

@Suite(.timeLimit(.minutes(2)))
struct ManagerTests {
    @Test func `a list is shared with a child`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: String.self)
            let process = ChildProcess { try list.append("Hello") }
            try process.start()
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
            try list.append("World")
            try checkEqual(try list.value(), ["Hello", "World"])
            try manager.shutdown()
        }
    }

    @Test func `any value is hosted, and functions change it in place`() async throws {
        try await isolated {
            let manager = try Manager()
            let counter = try manager.host { WordCounter() }
            try checkEqual(try counter.withValue { $0.add("a") }, 1)
            let word = "a"
            try checkEqual(try counter.withValue { $0.add(word) }, 2)
            try checkEqual(try counter.withValue(with: "a") { $0.add($1) }, 3)
            let number = try manager.host { 40 }
            try number.withValue { $0 += 2 }
            try checkEqual(try number.withValue { $0 }, 42)
            try manager.shutdown()
        }
    }

    @Test func `errors come back as themselves, and the value goes on`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 40 }
            do {
                try number.withValue { value in
                    value += 1
                    throw TooMany(count: value)
                }
                try check(false)
            } catch let error as TooMany {
                try checkEqual(error.count, 41)
            }
            try checkEqual(try number.withValue { $0 }, 41)
            try manager.shutdown()
        }
    }

    @Test func `tasks have many calls under way, in order`() async throws {
        try await ChildProcess.run(timeout: .seconds(60)) {
            let manager = try Manager()
            let list = try await manager.list(of: Int.self)
            for number in 0..<100 { try await list.append(number) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1000 { group.addTask { try await list.append(number) } }
                try await group.waitForAll()
            }
            let all = try await list.value()
            try checkEqual(Array(all.prefix(100)), Array(0..<100))
            try checkEqual(all.dropFirst(100).sorted(), Array(0..<1000))
            let total = try await manager.host { 0 }
            try checkEqual(
                try await total.withValue {
                    try await Task.sleep(for: .milliseconds(1))
                    $0 += 1
                    return $0
                },
                1
            )
            try await manager.shutdown()
        }
    }
}
