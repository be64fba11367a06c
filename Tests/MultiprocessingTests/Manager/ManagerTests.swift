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

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
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
        try await apart(timeout: .seconds(300)) {
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

    @Test func `calls of a thread are under way together, in order, and their results are asked for later`()
        async throws
    {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list(of: Int.self)
            let results = try (0..<5000).map { number in
                try list.managed.withValueAsync(with: number) { list, number in
                    list.append(number)
                    return list.count
                }
            }
            // From any thread, in any order, again and again.
            let other = try onThreadAsync { try results[4000].get() }
            try checkEqual(try results[4999].get(), 5000)
            try check(results[0].isReady)
            for (index, result) in results.enumerated() {
                try checkEqual(try result.get(timeout: .seconds(60)), index + 1)
            }
            try checkEqual(try other.get(), 4001)
            try checkEqual(try list.value(), Array(0..<5000))

            // Errors, results that nobody asks for, one that takes its time.
            let failing = try list.managed.withValueAsync { list in throw TooMany(count: list.count) }
            for _ in 0..<100 { _ = try list.managed.withValueAsync { $0 } }
            for _ in 0..<2 {
                do {
                    try failing.get()
                    try check(false)
                } catch let error as TooMany { try checkEqual(error.count, 5000) }
            }
            let gate = try Event()
            let slow = try manager.host { 1 }.withValueAsync { value in
                _ = try gate.wait()
                return value
            }
            do {
                _ = try slow.get(timeout: .milliseconds(20))
                try check(false)
            } catch is TimeoutError {}
            try check(!slow.isReady)
            gate.set()
            try checkEqual(try slow.get(), 1)
            try manager.shutdown()
            do {
                _ = try list.managed.withValueAsync { $0.count }.get()
                try check(false)
            } catch let lost as ManagerLost { try checkEqual(lost.code, .shutDown) }
        }
    }

    @Test func `more calls and answers than there is room for go through, whether or not anybody asks`() async throws {
        try await isolated {
            let manager = try Manager()
            let total = try manager.host { 0 }
            for number in 0..<150_000 { _ = try total.withValueAsync(with: number) { $0 += $1 } }
            try checkEqual(try total.withValue { $0 }, 150_000 / 2 * 149_999)
            // Answers of 20 MB, and requests as large.
            let results = try (0..<2000).map { _ in
                try total.withValueAsync(with: [UInt8](repeating: 1, count: 10_000)) { _, bytes in bytes }
            }
            for result in results { try checkEqual(try result.get().count, 10_000) }
            for _ in 0..<2000 { _ = try total.withValueAsync { _ in [UInt8](repeating: 1, count: 10_000) } }
            try checkEqual(try total.withValue { $0 }, 150_000 / 2 * 149_999)
            try manager.shutdown()
        }
    }

    @Test func `tasks await calls that a thread has sent`() async throws {
        try await isolated {
            let manager = try Manager()
            let total = try manager.host { 0 }
            let process = ChildProcess {
                func send() throws -> [ManagedResult<Int>] {
                    try (1...100).map { number in
                        try total.withValueAsync(with: number) { total, number in
                            total += number
                            return total
                        }
                    }
                }
                let results = try send()
                for (index, result) in results.enumerated().reversed() {
                    try checkEqual(try await result.value, (index + 1) * (index + 2) / 2)
                }
            }
            try process.start()
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
            try manager.shutdown()
        }
    }
}
